#include "store/sqlite/queue.h"

#include "unit/testing.h"

enum { THREADS = 3, JOBS = 5000 };

static void push_one(struct queue *queue, struct job *job) {
    job->next = NULL;
    queue_push(queue, job, &job->next);
}

static void jobs_come_out_in_order(void **state) {
    struct queue queue;
    struct failure failure;
    assert_true(queue_open(&queue, 10, &failure));
    struct job jobs[4] = {0};
    jobs[0].next = &jobs[1];
    queue_push(&queue, &jobs[0], &jobs[1].next);
    push_one(&queue, &jobs[2]);
    assert_ptr_equal(queue_take_one(&queue), &jobs[0]);
    struct job *rest = queue_take_all(&queue);
    assert_ptr_equal(rest, &jobs[1]);
    assert_ptr_equal(rest->next, &jobs[2]);
    assert_null(rest->next->next);
    push_one(&queue, &jobs[3]);
    assert_ptr_equal(queue_take_one(&queue), &jobs[3]);
    push_one(&queue, &jobs[0]);
    assert_ptr_equal(queue_take_all(&queue), &jobs[0]);
    queue_free(&queue);
}

static void places_are_limited(void **state) {
    struct queue queue;
    struct failure failure;
    assert_true(queue_open(&queue, 3, &failure));
    for (int i = 0; i < 3; i++)
        assert_true(queue_reserve(&queue));
    assert_false(queue_reserve(&queue));
    assert_false(queue_reserve(&queue));
    queue_release(&queue, 2);
    assert_true(queue_reserve(&queue));
    assert_true(queue_reserve(&queue));
    assert_false(queue_reserve(&queue));
    queue_free(&queue);
}

static void a_closed_queue_gives_what_it_has(void **state) {
    struct queue queue;
    struct failure failure;
    assert_true(queue_open(&queue, 3, &failure));
    struct job job = {0};
    push_one(&queue, &job);
    queue_close(&queue);
    assert_ptr_equal(queue_take_one(&queue), &job);
    assert_null(queue_take_one(&queue));
    assert_null(queue_take_all(&queue));
    queue_free(&queue);
}

struct taker {
    struct queue *queue;
    uv_thread_t thread;
    size_t taken;
};

static void take_until_closed(void *argument) {
    struct taker *taker = argument;
    while (queue_take_one(taker->queue)) {
        queue_release(taker->queue, 1);
        taker->taken++;
    }
}

static void several_threads_share_the_jobs(void **state) {
    static struct job jobs[JOBS];
    struct queue queue;
    struct failure failure;
    assert_true(queue_open(&queue, JOBS, &failure));
    struct taker takers[THREADS] = {0};
    for (size_t i = 0; i < THREADS; i++) {
        takers[i].queue = &queue;
        assert_int_equal(uv_thread_create(&takers[i].thread, take_until_closed, &takers[i]), 0);
    }
    for (size_t i = 0; i < JOBS; i++) {
        assert_true(queue_reserve(&queue));
        push_one(&queue, &jobs[i]);
    }
    queue_close(&queue);
    size_t taken = 0;
    for (size_t i = 0; i < THREADS; i++) {
        uv_thread_join(&takers[i].thread);
        taken += takers[i].taken;
    }
    assert_int_equal(taken, JOBS);
    assert_int_equal(atomic_load(&queue.waiting), 0);
    queue_free(&queue);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_out_in_order),
        cmocka_unit_test(places_are_limited),
        cmocka_unit_test(a_closed_queue_gives_what_it_has),
        cmocka_unit_test(several_threads_share_the_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
