"""What commands of operations do in tests, and how their operations must end: in these ways with the
server's own runner, and with an agent."""

import pathlib

# Name: (a shell's script, the state in which it ends, how its detail begins or None).
ENDS = {
    "status": ("echo oh >&2; exit 3", "failed", "it ended with exit status 3: oh"),
    "signal": ("kill -SEGV $$", "failed", "it was killed by SIGSEGV"),
    "hangs": ("sleep 1000", "failed", "it took longer than its time limit, 1 s"),
    "ignores": ("trap '' TERM; while :; do sleep 1; done", "failed",
                "it took longer than its time limit, 1 s"),
    "stopped": ("kill -STOP $$", "failed", "it took longer than its time limit, 1 s"),
    "forks": ("(setsid sh -c 'sleep 1000 & sleep 1000') & sleep 0.2; echo '{\"result\":\"1\"}'",
              "succeeded", None),
    "nonsense": ("echo progress 101; echo progress x; echo '{'; echo done", "succeeded", None),
    "broken": ("echo '{\"a\":'", "failed", "the last line of its output is no JSON object"),
    "torrent": ("head -c 1000000000 /dev/zero; echo; echo progress 5; "
                "head -c 1000000000 /dev/zero >&2; echo \"it's over\" >&2; exit 1", "failed",
                "it ended with exit status 1: ???"),
    "missing": ("exec no-such-command-at-all", "failed", "it ended with exit status 127"),
    "deaf": ("exec <&- >&- 2>&-; sleep 0.1", "succeeded", None),
}


def is_limited(name):
    """Whether it ends by its time limit, which is to be a second."""
    detail = ENDS[name][2]
    return bool(detail) and "time limit" in detail


def is_alive(pid):
    """Whether there is such a process, and not only its status for its parent."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


DEFINITION = """
access: {read: public, write: public}
properties:
  name:   {type: string, maxLength: 100}
  result: {type: string, maxLength: 10, readOnly: true}
  secret: {type: string, maxLength: 100, writeOnly: true}
lifecycle: {property: status, states: [New, Done]}
transitions:
  work:  {from: [New], to: Done, run: COMMAND, time_limit: 2m, environment: ENVIRONMENT}
  short: {from: [New], to: Done, run: COMMAND, time_limit: 1s, environment: ENVIRONMENT}
  retry: {from: [New], to: Done, run: COMMAND, retries: 2, environment: ENVIRONMENT}
"""

DISPATCH = """record=$(cat)
name=$(printf %s "$record" | sed 's/.*"name":"\\([^"]*\\)".*/\\1/')
export record
exec sh "$FOLDER/$name.sh"
"""


class Scripts:
    """A folder of shell scripts: a job runs the one that its name says. The scripts find their
    record in $record and the folder in $FOLDER."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.write("dispatch", DISPATCH)

    def write(self, name, script):
        (self.folder / f"{name}.sh").write_text(script, "utf-8")

    def command(self):
        return ["sh", f"{self.folder}/dispatch.sh"]

    def definition(self, agent=False):
        command = "agent" if agent else "[" + ", ".join(self.command()) + "]"
        return (DEFINITION.replace("COMMAND", command)
                .replace("ENVIRONMENT", f"{{FOLDER: '{self.folder}', COLOUR: light blue}}"))

    def path(self, name):
        return self.folder / name

    def text(self, name):
        path = self.path(name)
        return path.read_text("utf-8") if path.exists() else ""


def begin(client, name, transition="work"):
    """A new job and its operation."""
    job = client.create("/jobs", {"name": name, "secret": "sesame"})
    response = client.post(f"/jobs/{job['id']}/{transition}", data=b"")
    assert response.status_code == 202, response.text
    return job, response.json()


def read(client, operation):
    response = client.get(f"/operations/{operation['id']}")
    assert response.status_code == 200, response.text
    return response.json()
