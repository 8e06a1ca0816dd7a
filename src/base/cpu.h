// How many processors this process may use.
#pragma once

// The number of processors in the affinity mask, or fewer where the control groups that the process
// is in (version 1 or 2) have a CPU quota: that many whole processors, rounded up. At least 1.
unsigned cpu_available(void);

// The quota alone, in whole processors rounded up, or 0 where there is none: the smallest on the
// way from the group that `membership` (a file like /proc/self/cgroup) names up to `mount`, where
// the control groups are mounted (/sys/fs/cgroup).
unsigned cpu_quota(const char *membership, const char *mount);
