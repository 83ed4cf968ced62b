/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard, and the fence of one of several hosts, against this kernel's nvmet and nftables, with
 * hosts in user space: each with an NQN of its own, some of which connect all the time.
 *
 *	nvmet_fence BACKING SLOW-BACKING ROUNDS
 *
 * BACKING is a file of at least 4 MiB; SLOW-BACKING a device of device-mapper, by its path in
 * /dev/mapper, that takes SLOW_MS for a write; ROUNDS is how often one is fenced while others
 * connect.
 */
#include "tests/vm/programs/nvmet_fixture.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "nvme/base/proc.h"
#include "nvme/target/nvmet_drain.h"

#define VOLUME 1
#define OTHER_VOLUME 2
#define SLOW_MS 400
#define BLOCKS 24
#define CONNECT_MS 8000

static const char *backing, *slow_backing;
static unsigned rounds;

static int setup(void **state)
{
	(void)state;
	open_nvmet();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	remove_volume(VOLUME, 1, HOSTS_MAX);
	assert_false(guard_is_there());
	nvmet_close(&nvmet);
	return 0;
}

static void assert_connects(struct initiator *initiator, const struct portal *portal, unsigned host)
{
	struct names names;
	int r;

	names_init(&names, VOLUME, host);
	r = initiator_connect(initiator, portal, &names.names, CONNECT_MS);
	if (r)
		fail_msg("host %u: status %x, errno %d", host, (unsigned)r, errno);
}

/* --- the guard -------------------------------------------------------------------------------- */

/* A listener that has nothing to do with us, on a port that is no portal. */
static int listen_elsewhere(struct portal *portal)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int fd;

	portal->port = 4421;
	len = portal_sockaddr(portal, &addr);
	fd = socket(portal->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void check_guard(const struct portal *portal)
{
	struct portal elsewhere = *portal;
	int listener = listen_elsewhere(&elsewhere);
	cleanup_close int begun = -1, other = -1, blocked = -1;
	struct initiator live;
	struct names names;

	names_init(&names, VOLUME, 2);
	assert_connects(&live, portal, 1);
	begun = initiator_dial(portal, CONNECT_MS);
	assert_int_equal(initiator_hello(begun, CONNECT_MS), 0);

	nvmet_guard_up(&nvmet.guard, portals, ARRAY_SIZE(portals));
	blocked = initiator_dial(portal, 700);
	assert_int_equal(blocked, -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(initiator_connect_send(begun, &names.names, 0, INITIATOR_ALL_CONTROLLERS),
			 0);
	assert_int_equal(initiator_response(begun, NULL, 700), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(initiator_write(live.io, 1, 'a', 700), 0);
	other = initiator_dial(&elsewhere, 700);
	assert_true(other >= 0);
	nvmet_guard_down(&nvmet.guard);

	/* TCP sends it again. */
	assert_int_equal(initiator_response(begun, NULL, CONNECT_MS), 0);
	blocked = initiator_dial(portal, 700);
	assert_true(blocked >= 0);
	initiator_close(&live);
	assert_int_equal(close(listener), 0);
}

static void test_guard(void **state)
{
	(void)state;
	prepare(VOLUME, backing, 1, 2);
	link_volumes(VOLUME, VOLUME);
	for (size_t i = 0; i < ARRAY_SIZE(portals); i++)
		check_guard(&portals[i]);
}

/* Who is killed with the guard up leaves it, and the next process removes it once it has linked. */
static void test_guard_of_a_killed_process(void **state)
{
	struct err err = ERR_INIT;
	int status;
	pid_t pid;

	(void)state;
	prepare(VOLUME, backing, 1, 2);
	link_volumes(VOLUME, VOLUME);
	pid = fork();
	if (pid == 0) {
		nvmet_guard_init(&nvmet.guard, true);
		nvmet_guard_up(&nvmet.guard, portals, ARRAY_SIZE(portals));
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(guard_is_there());
	assert_int_equal(initiator_dial(&portals[0], 500), -1);

	nvmet_close(&nvmet);
	open_nvmet();
	assert_true(guard_is_there());
	must(nvmet_link(&nvmet, NULL, 0, &err), &err);
	assert_false(guard_is_there());
}

/* --- the fence -------------------------------------------------------------------------------- */

/* Whether the other end has closed the connection. */
static bool is_closed(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN | POLLRDHUP };
	char byte;

	poll(&poller, 1, 2000);
	while (recv(fd, &byte, 1, MSG_DONTWAIT) > 0)
		;
	return (poller.revents & (POLLHUP | POLLERR | POLLRDHUP)) != 0;
}

static void assert_refused(unsigned host)
{
	struct initiator initiator;
	struct names names;
	int r;

	names_init(&names, VOLUME, host);
	r = initiator_connect(&initiator, &portals[0], &names.names, CONNECT_MS);
	assert_true(r > 0 && r & INITIATOR_DNR);
}

static void read_blocks(const char *path, char out[BLOCKS])
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	void *block = aligned_alloc(INITIATOR_BLOCK, INITIATOR_BLOCK);

	assert_true(fd >= 0);
	for (int i = 0; i < BLOCKS; i++) {
		assert_int_equal(pread(fd, block, INITIATOR_BLOCK, (off_t)i * INITIATOR_BLOCK),
				 INITIATOR_BLOCK);
		out[i] = *(char *)block;
	}
	free(block);
}

static void send_writes(const struct initiator *initiator, char byte)
{
	for (uint16_t i = 0; i < BLOCKS; i++)
		assert_int_equal(initiator_write_send(initiator->io, i, i, byte), 0);
}

static void fence(unsigned host)
{
	struct volume_export gone = { .host_made = true };
	struct uuid uuid = volume_uuid(VOLUME);
	struct err err = ERR_INIT;

	host_nqn(host, gone.host_nqn);
	must(nvmet_remove_host(&nvmet, &uuid, &gone, &err), &err);
}

/* One host goes while its writes are under way; the other one is back at once. */
static void test_fence(void **state)
{
	struct initiator a, b, other;
	struct names names;

	(void)state;
	prepare(VOLUME, backing, 1, 2);
	prepare(OTHER_VOLUME, backing, 3, 3);
	link_volumes(VOLUME, OTHER_VOLUME);
	names_init(&names, OTHER_VOLUME, 3);
	assert_int_equal(initiator_connect(&other, &portals[0], &names.names, CONNECT_MS), 0);
	assert_connects(&a, &portals[0], 1);
	assert_connects(&b, &portals[1], 2);
	assert_int_equal(initiator_write(b.io, 100, 'b', CONNECT_MS), 0);
	send_writes(&a, 'x');
	fence(1);
	assert_true(is_closed(a.io) && is_closed(a.admin));
	assert_true(is_closed(b.io) && is_closed(b.admin));
	initiator_close(&b);
	assert_connects(&b, &portals[1], 2);
	assert_int_equal(initiator_write(b.io, 101, 'b', CONNECT_MS), 0);
	assert_refused(1);
	/* A session of another volume goes on. */
	assert_int_equal(initiator_write(other.io, 102, 'o', CONNECT_MS), 0);
	initiator_close(&a);
	initiator_close(&b);
	initiator_close(&other);
	remove_volume(OTHER_VOLUME, 3, 3);
}

/* What the host had handed over has reached the backing, or never will, when the fence returns. */
static void test_fence_waits_for_writes(void **state)
{
	char before[BLOCKS], after[BLOCKS];
	struct initiator a;
	uint64_t begin_ns;

	(void)state;
	prepare(VOLUME, slow_backing, 1, 2);
	link_volumes(VOLUME, VOLUME);
	assert_connects(&a, &portals[0], 1);
	send_writes(&a, 'x');
	/* The first is with the backing when the second's data has been taken: no event says so. */
	poll(NULL, 0, 100);
	begin_ns = clock_now_ns();
	fence(1);
	printf("[fence with writes of %d ms under way: %u ms]\n", SLOW_MS,
	       (unsigned)((clock_now_ns() - begin_ns) / 1000000));
	read_blocks(slow_backing, before);
	assert_int_equal(before[0], 'x');
	poll(NULL, 0, 2 * SLOW_MS);
	read_blocks(slow_backing, after);
	assert_memory_equal(before, after, BLOCKS);
	initiator_close(&a);
}

static void dmsetup(const char *command)
{
	const char *const argv[] = { "dmsetup", command, slow_backing, NULL };
	static struct proc_result result;
	struct err err = ERR_INIT;

	must(proc_run(argv, deadline_after_ms(10000), &result, &err), &err);
	if (result.exit_code)
		fail_msg("dmsetup %s: %s", command, result.err);
}

static atomic_bool fenced;

static void *fence_first_host(void *arg)
{
	fence(1);
	fenced = true;
	return arg;
}

/* As soon as the guard lets it; without an entry in the ACL. */
static int join(const struct initiator *old, uint16_t qid)
{
	struct deadline deadline = deadline_after_ms(CONNECT_MS);
	struct names names;
	int fd = -1;
	int r;

	names_init(&names, VOLUME, 1);
	while ((r = initiator_queue(&portals[1], &names.names, qid, old->controller, NULL, &fd,
				    CONNECT_MS)) < 0) {
		assert_false(deadline_passed(deadline));
		poll(NULL, 0, 10);
	}
	printf("[queue %u of the controller that was cut: status %#x]\n", qid, (unsigned)r);
	return fd;
}

/*
 * The backing hangs for longer than the guard stays. So the controller that was cut is still there,
 * and its host gets another queue of it, which does not outlive the fence.
 */
static void test_fence_of_who_joins_again(void **state)
{
	char before[BLOCKS], after[BLOCKS];
	struct initiator a, again;
	pthread_t thread;

	(void)state;
	prepare(VOLUME, slow_backing, 1, 2);
	link_volumes(VOLUME, VOLUME);
	assert_connects(&a, &portals[0], 1);
	again = a;
	dmsetup("suspend");
	send_writes(&a, 'y');
	poll(NULL, 0, 100);
	fenced = false;
	assert_int_equal(pthread_create(&thread, NULL, fence_first_host, NULL), 0);
	assert_true(is_closed(a.io));
	again.io = join(&a, 2);
	assert_true(again.io >= 0);
	send_writes(&again, 'z');
	assert_false(fenced);
	dmsetup("resume");
	assert_int_equal(pthread_join(thread, NULL), 0);
	read_blocks(slow_backing, before);
	assert_true(is_closed(again.io));
	assert_int_equal(join(&a, 3), -1);
	assert_refused(1);
	poll(NULL, 0, 2 * SLOW_MS);
	read_blocks(slow_backing, after);
	assert_memory_equal(before, after, BLOCKS);
	close(again.io);
	initiator_close(&a);
}

/* Two who are no hosts: one sends nothing, the other the beginning of a command and no more. */
static void test_fence_past_strangers(void **state)
{
	int silent, endless;
	char part[2000] = { 0 };
	uint8_t pdu[PDU_SIZE];
	struct initiator a, b;
	uint64_t begin_ns;

	(void)state;
	prepare(VOLUME, backing, 1, 2);
	link_volumes(VOLUME, VOLUME);
	silent = initiator_dial(&portals[0], CONNECT_MS);
	endless = initiator_dial(&portals[0], CONNECT_MS);
	assert_int_equal(initiator_hello(endless, CONNECT_MS), 0);
	initiator_capsule(pdu, 0x7f, 1, 8192);
	assert_int_equal(initiator_send(endless, pdu, part, sizeof(part)), 0);
	assert_connects(&a, &portals[0], 1);
	begin_ns = clock_now_ns();
	fence(1);
	printf("[fence past a stranger who never ends: %u ms]\n",
	       (unsigned)((clock_now_ns() - begin_ns) / 1000000));
	assert_true(is_closed(endless) && is_closed(a.io) && is_closed(a.admin));
	assert_refused(1);
	assert_connects(&b, &portals[0], 2);
	/* Nobody is left to wait for. */
	begin_ns = clock_now_ns();
	fence(2);
	assert_true(clock_now_ns() - begin_ns < NVMET_DRAIN_OTHERS_MS * 1000000ULL);
	close(silent);
	close(endless);
	initiator_close(&a);
	initiator_close(&b);
}

/* --- others that connect all the time --------------------------------------------------------- */

#define OTHERS 12

static atomic_bool done;
static atomic_uint connected, interrupted, refused;
static atomic_int last_status;

static void *connect_for_ever(void *arg)
{
	unsigned host = (unsigned)(uintptr_t)arg;
	struct initiator initiator;
	struct names names;

	names_init(&names, VOLUME, host);
	while (!done) {
		int r = initiator_connect(&initiator, &portals[host % 2], &names.names, CONNECT_MS);

		connected += r == 0;
		interrupted += r < 0;
		refused += r > 0;
		last_status = r > 0 ? r : last_status;
		if (r == 0 && host % 3)
			is_closed(initiator.io);
		else if (r)
			poll(NULL, 0, 10);
		initiator_close(&initiator);
	}
	return NULL;
}

/* The kernel's own host is among them. */
static int connect_kernel(unsigned host)
{
	cleanup_free char *options = NULL;
	cleanup_close int fd = open("/dev/nvme-fabrics", O_RDWR | O_CLOEXEC);
	char answer[128] = "";
	struct names names;
	int instance;

	names_init(&names, VOLUME, host);
	options = xasprintf("nqn=%s,transport=tcp,traddr=127.0.0.1,trsvcid=4420,hostnqn=%s,"
			    "hostid=%08x-0000-4000-8000-000000000000,nr_io_queues=2,"
			    "reconnect_delay=1,ctrl_loss_tmo=-1",
			    names.subsystem, names.host, host);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, options, strlen(options)), strlen(options));
	assert_true(read(fd, answer, sizeof(answer) - 1) > 0);
	assert_int_equal(sscanf(answer, "instance=%d", &instance), 1);
	return instance;
}

static bool kernel_state_is(int instance, const char *want)
{
	cleanup_free char *path = xasprintf("/sys/class/nvme/nvme%d/state", instance);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char state[32] = "";

	return fd >= 0 && read(fd, state, sizeof(state) - 1) > 0 &&
	       strncmp(state, want, strlen(want)) == 0;
}

static void disconnect_kernel(int instance)
{
	cleanup_free char *path = xasprintf("/sys/class/nvme/nvme%d/delete_controller", instance);
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(write(fd, "1", 1), 1);
}

/* Its admin commands may have been on the way: those take a minute to fail, then it comes back. */
static void assert_kernel_comes_back(int instance)
{
	struct deadline deadline = deadline_after_ms(100000);
	uint64_t begin_ns = clock_now_ns();

	while (!kernel_state_is(instance, "live")) {
		assert_false(deadline_passed(deadline));
		poll(NULL, 0, 20);
	}
	printf("[the kernel's host is live %u ms after the last fence]\n",
	       (unsigned)((clock_now_ns() - begin_ns) / 1000000));
}

static void test_fence_while_others_connect(void **state)
{
	int kernel;
	uint64_t begin_ns, spent_ns = 0;
	char before[BLOCKS], after[BLOCKS];
	pthread_t threads[OTHERS];
	struct initiator a;

	(void)state;
	prepare(VOLUME, backing, 1, OTHERS + 1);
	link_volumes(VOLUME, VOLUME);
	kernel = connect_kernel(OTHERS + 1);
	for (uintptr_t i = 0; i < OTHERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, connect_for_ever, (void *)(i + 1)), 0);
	for (unsigned round = 0; round < rounds; round++) {
		/* With one host more; the others' entries stay as they are. */
		prepare(VOLUME, backing, 1, OTHERS + 2);
		assert_connects(&a, &portals[round % 2], OTHERS + 2);
		send_writes(&a, (char)('a' + round % 26));
		begin_ns = clock_now_ns();
		fence(OTHERS + 2);
		spent_ns += clock_now_ns() - begin_ns;
		read_blocks(backing, before);
		assert_true(is_closed(a.io) && is_closed(a.admin));
		assert_refused(OTHERS + 2);
		read_blocks(backing, after);
		assert_memory_equal(before, after, BLOCKS);
		initiator_close(&a);
	}
	done = true;
	for (int i = 0; i < OTHERS; i++)
		pthread_join(threads[i], NULL);
	printf("[%u fences of %u ms; the others: %u connected, %u interrupted, %u refused]\n",
	       rounds, (unsigned)(spent_ns / rounds / 1000000), connected, interrupted, refused);
	if (refused)
		fail_msg("the last status was %#x", (unsigned)last_status);
	assert_true(connected > rounds);
	assert_kernel_comes_back(kernel);
	disconnect_kernel(kernel);
}

/*
 * Another's table, which stays as it is. Without any, putting the guard up and lifting it would
 * switch the kernel's hook on and off by patching its text, over which qemu's CPUs may fall.
 */
static int foreign_table(void **state)
{
	(void)state;
	return nft("table inet theirs { chain input { type filter hook input priority 0; accept; "
		   "}; }\n") ?
		       0 :
		       -1;
}

static int foreign_table_stays(void **state)
{
	(void)state;
	return nft("list chain inet theirs input\n") && nft("delete table inet theirs\n") ? 0 : -1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_guard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guard_of_a_killed_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fence_waits_for_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fence_of_who_joins_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fence_past_strangers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fence_while_others_connect, setup, teardown),
	};

	rounds = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	if (rounds == 0) {
		fprintf(stderr, "usage: %s BACKING SLOW-BACKING ROUNDS\n", argv[0]);
		return 2;
	}
	backing = argv[1];
	slow_backing = argv[2];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, foreign_table, foreign_table_stays);
}
