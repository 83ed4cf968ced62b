/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many exports with a host connected to each, and the start of the target after its configfs was
 * lost. One of KERNEL_EVERY is the kernel's own; the others are in user space, because it takes
 * an emulated kernel a minute to connect so many. One step a call, so that each runs in a
 * process of its own:
 *
 *	target_many POOL-DIRECTORY COUNT STEP
 *
 *	export      creates and exports the volumes
 *	connect     connects the kernel's hosts, with a reconnect delay of 1 s and no end of trying
 *	hosts       is the others, until it is killed; tells of them in HOSTS_FILE. As a host of
 *	            Linux 6.12 does, they are lost once a Connect is answered "do not retry"
 *	device      prints the device of the first volume
 *	hold        opens as many of the others' devices as HELD and keeps them until it is killed
 *	forget      configfs loses all, as in a restart of the machine: port links first
 *	restore     what the agent does when it starts
 *	interrupted … stopped for STOP_MS in the middle of linking
 *	unguarded   … stopped there, and without nftables
 *	live        waits until every controller that is not lost is live; prints how many those are
 *	dead        waits until none is live
 *	disconnect  removes the controllers
 *	remove      ends the exports and deletes the volumes
 *	guard       what putting the guard up and lifting it takes
 *	foreign     another's table in nftables; without any, the guard would switch the kernel's
 *	            hook on and off by patching its text, over which qemu's CPUs may fall
 *	unforeign   removes it
 */
#include "tests/vm/programs/target_fixture.h"
#include "tests/vm/programs/tcp_initiator.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nvme/base/clock.h"

#define THREADS 16
#define KERNEL_EVERY 5
#define HELD 16
#define HOSTS_FILE "/run/hosts"
#define RETRY_MS 1000
#define CONNECT_MS 10000
#define STOP_MS 5000
#define SETTLE_MS 120000
#define FILE_BYTES (64ULL << 20)

static unsigned count;
static const char *step;
static unsigned linked; /* subsystems at ports, by this process */

static unsigned kernel_hosts(void)
{
	return (count + KERNEL_EVERY - 1) / KERNEL_EVERY;
}

static bool step_is(const char *name)
{
	return strcmp(step, name) == 0;
}

/* --- what comes between the target and the kernel --------------------------------------------- */

/* In the place of the library's: a stop in the midst of linking, while initiators try again. */
int symlinkat(const char *target_path, int dirfd, const char *path)
{
	if (strncmp(path, "ports/", 6) == 0 && ++linked == count / 2 &&
	    (step_is("interrupted") || step_is("unguarded")))
		poll(NULL, 0, STOP_MS);
	return (int)syscall(SYS_symlinkat, target_path, dirfd, path);
}

/* --- volumes and hosts ------------------------------------------------------------------------ */

static void uuid_of(unsigned n, char out[UUID_TEXT_SIZE])
{
	snprintf(out, UUID_TEXT_SIZE, "%08x-6f0c-4f0e-9f0a-0b6f3f6c2a11", n);
}

static void export_one(unsigned n)
{
	cleanup_volume struct volume want = { .size_bytes = FILE_BYTES, .volatile_cache = n > 0 };
	cleanup_volume struct volume made = { 0 }, exported = { 0 };
	struct volume_export host = { .access = VOLUME_SINGLE_NODE };
	struct err err = ERR_INIT;

	uuid_of(n, want.uuid.text);
	want.name = xasprintf("pvc-%u", n);
	strcpy(host.host_nqn, HOST_A);
	must(target_create(target, &want, &made, &err), &err);
	must(target_export(target, want.uuid.text, &host, &exported, &err), &err);
}

static void remove_one(unsigned n)
{
	char uuid[UUID_TEXT_SIZE];
	struct err err = ERR_INIT;

	uuid_of(n, uuid);
	must(target_unexport(target, uuid, "", &err), &err);
	must(target_delete(target, uuid, "", &err), &err);
}

static void connect_one(unsigned n)
{
	cleanup_close int fd = open("/dev/nvme-fabrics", O_RDWR | O_CLOEXEC);
	cleanup_free char *options = NULL;
	char uuid[UUID_TEXT_SIZE];

	if (n % KERNEL_EVERY)
		return;
	uuid_of(n, uuid);
	options = xasprintf("nqn=" VOLUME_NQN_PREFIX "%s,transport=tcp,traddr=127.0.0.1,"
			    "trsvcid=4420,hostnqn=" HOST_A ",nr_io_queues=1,queue_size=16,"
			    "hostid=aaaaaaaa-0000-4000-8000-000000000001,reconnect_delay=1,"
			    "ctrl_loss_tmo=-1",
			    uuid);
	assert_true(fd >= 0);
	if (write(fd, options, strlen(options)) < 0)
		fail_msg("connect to volume %u: %s", n, strerror(errno));
}

/* The names of all controllers of the machine. */
static void controllers(struct root *sys, struct root_names *ret)
{
	struct err err = ERR_INIT;

	must(root_open(sys, "/sys/class/nvme", &err), &err);
	must(root_list(sys, ret, &err, "."), &err);
}

static void disconnect_one(unsigned n)
{
	cleanup_root_names struct root_names names = { 0 };
	cleanup_root struct root sys = ROOT_INIT;
	struct err err = ERR_INIT;

	controllers(&sys, &names);
	/* Each thread takes one; the list shrinks meanwhile, so by its instance's number. */
	if (root_exists(&sys, "nvme%u", n))
		must(root_write(&sys, "1", &err, "nvme%u/delete_controller", n), &err);
}

/* --- hosts in user space ---------------------------------------------------------------------- */

static atomic_int hosts_live, hosts_lost;

static void *host_thread(void *arg)
{
	char uuid[UUID_TEXT_SIZE], nqn[NQN_SIZE];
	struct initiator_names names = { .subsystem = nqn, .host = HOST_A };
	struct portal portal = the_portal();
	int r = 0;

	uuid_of((unsigned)(uintptr_t)arg, uuid);
	snprintf(nqn, sizeof(nqn), VOLUME_NQN_PREFIX "%s", uuid);
	while (r <= 0 || !(r & INITIATOR_DNR)) {
		struct initiator initiator;
		struct pollfd poller;

		r = initiator_connect(&initiator, &portal, &names, CONNECT_MS);
		if (r == 0) {
			hosts_live++;
			poller = (struct pollfd) { .fd = initiator.admin, .events = POLLIN };
			poll(&poller, 1, -1);
			hosts_live--;
			initiator_close(&initiator);
		}
		poll(NULL, 0, RETRY_MS);
	}
	hosts_lost++;
	return NULL;
}

static void tell_of_hosts(void)
{
	cleanup_free char *text = xasprintf("%d %d\n", hosts_live, hosts_lost);
	int fd = open(HOSTS_FILE ".new", O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(rename(HOSTS_FILE ".new", HOSTS_FILE), 0);
}

static void be_hosts(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (uintptr_t n = 0; n < count; n++)
		if (n % KERNEL_EVERY)
			assert_int_equal(pthread_create(&thread, &attr, host_thread, (void *)n), 0);
	for (;;) {
		tell_of_hosts();
		poll(NULL, 0, 200);
	}
}

static void read_hosts(unsigned *live, unsigned *lost)
{
	cleanup_close int fd = open(HOSTS_FILE, O_RDONLY | O_CLOEXEC);
	char text[64] = "";

	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	assert_int_equal(sscanf(text, "%u %u", live, lost), 2);
}

/* --- looking at both -------------------------------------------------------------------------- */

/* The number of controllers that are not lost, of the kernel's among them, and of live ones. */
static unsigned count_controllers(unsigned *ret_kernel, unsigned *ret_live)
{
	cleanup_root_names struct root_names names = { 0 };
	cleanup_root struct root sys = ROOT_INIT;
	char state[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;
	unsigned lost;

	read_hosts(ret_live, &lost);
	controllers(&sys, &names);
	for (size_t i = 0; i < names.count; i++)
		if (root_read(&sys, state, &err, "%s/state", names.names[i]) == 1)
			*ret_live += strcmp(state, "live") == 0;
	*ret_kernel = (unsigned)names.count;
	return *ret_kernel + count - kernel_hosts() - lost;
}

/* Their state has no event to wait for. */
static void wait_for_controllers(bool live)
{
	struct deadline deadline = deadline_after_ms(SETTLE_MS);
	unsigned there, kernel, alive;

	do {
		poll(NULL, 0, 250);
		there = count_controllers(&kernel, &alive);
	} while (alive != (live ? there : 0) && !deadline_passed(deadline));
	if (alive != (live ? there : 0))
		fail_msg("%u of %u controllers are live", alive, there);
	if (live)
		printf("%u of %u\n%u of the %u that are the kernel's\n", there, count, kernel,
		       kernel_hosts());
}

/* "nvme0n1" of a volume, whatever its numbers are. */
static bool find_device(unsigned n, char out[64])
{
	cleanup_root_names struct root_names names = { 0 };
	char uuid[UUID_TEXT_SIZE], value[ROOT_VALUE_SIZE];
	cleanup_root struct root sys = ROOT_INIT;
	struct err err = ERR_INIT;

	uuid_of(n, uuid);
	must(root_open(&sys, "/sys/block", &err), &err);
	must(root_list(&sys, &names, &err, "."), &err);
	for (size_t i = 0; i < names.count; i++)
		/* nvme0c0n1 is a path to nvme0n1 and has no node. */
		if (!strchr(names.names[i], 'c') &&
		    root_read(&sys, value, &err, "%s/uuid", names.names[i]) == 1 &&
		    strcmp(value, uuid) == 0) {
			snprintf(out, 64, "/dev/%s", names.names[i]);
			return true;
		}
	return false;
}

static void hold_one(unsigned n)
{
	char path[64];

	if (n && n % KERNEL_EVERY == 0 && n / KERNEL_EVERY <= HELD && find_device(n, path))
		assert_true(open(path, O_RDONLY) >= 0);
}

/* --- many at a time --------------------------------------------------------------------------- */

static void (*each_act)(unsigned n);
static atomic_uint each_next;

static void *each_thread(void *arg)
{
	unsigned n;

	(void)arg;
	while ((n = each_next++) < count)
		each_act(n);
	return NULL;
}

static void each(void (*act)(unsigned n))
{
	pthread_t threads[THREADS];

	each_act = act;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, each_thread, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void begin(void)
{
	struct err err = ERR_INIT;

	must(start(&err), &err);
}

static void unlink_all(void)
{
	cleanup_root_names struct root_names ports = { 0 };
	struct err err = ERR_INIT;

	must(root_list(&tree, &ports, &err, "ports"), &err);
	for (size_t p = 0; p < ports.count; p++) {
		cleanup_root_names struct root_names links = { 0 };

		must(root_list(&tree, &links, &err, "ports/%s/subsystems", ports.names[p]), &err);
		for (size_t i = 0; i < links.count; i++)
			must(root_unlink(&tree, &err, "ports/%s/subsystems/%s", ports.names[p],
					 links.names[i]),
			     &err);
	}
}

/* A machine that stops takes all links away at once: nobody meets a part of them. */
static void forget(void)
{
	struct volume_export hosts[] = { { .host_nqn = HOST_A, .host_made = true } };
	struct portal portal = the_portal();
	struct err err = ERR_INIT;
	struct nvmet nvmet;

	must(nvmet_open(&nvmet, NULL, &portal, 1, &err), &err);
	nvmet_guard_up(&nvmet.guard, &portal, 1);
	unlink_all();
	nvmet_guard_down(&nvmet.guard);
	for (unsigned n = 0; n < count; n++) {
		struct volume volume = { .exports = hosts, .export_count = 1 };

		uuid_of(n, volume.uuid.text);
		must(nvmet_remove(&nvmet, &volume, &err), &err);
	}
	nvmet_close(&nvmet);
	assert_nothing_left();
}

static void restore(void)
{
	uint64_t begin_ns = clock_now_ns();

	begin();
	printf("%u links in %u ms since the program's start of it\n", linked,
	       (unsigned)((clock_now_ns() - begin_ns) / 1000000));
	stop();
}

static void nft(const char *commands)
{
	struct err err = ERR_INIT;
	struct nvmet_guard own;

	nvmet_guard_init(&own, true);
	must(own.run(commands, &err), &err);
}

#define GUARD_ROUNDS 20
static void guard(void)
{
	struct portal portal = the_portal();
	uint64_t begin_ns, first_ns = 0;
	struct nvmet_guard own;

	nvmet_guard_init(&own, true);
	begin_ns = clock_now_ns();
	for (int i = 0; i < GUARD_ROUNDS; i++) {
		nvmet_guard_up(&own, &portal, 1);
		assert_true(own.up);
		nvmet_guard_down(&own);
		first_ns = first_ns ?: clock_now_ns() - begin_ns;
	}
	printf("up and down: first %.1f ms, then %.1f ms\n", (double)first_ns / 1e6,
	       (double)(clock_now_ns() - begin_ns - first_ns) / 1e6 / (GUARD_ROUNDS - 1));
}

static void print_device(void)
{
	struct deadline deadline = deadline_after_ms(SETTLE_MS);
	char path[64];

	while (!find_device(0, path)) {
		assert_false(deadline_passed(deadline));
		poll(NULL, 0, 20);
	}
	puts(path);
}

static void run_step(void **state)
{
	(void)state;
	if (step_is("export")) {
		begin();
		each(export_one);
		stop();
	} else if (step_is("connect")) {
		each(connect_one);
	} else if (step_is("hosts")) {
		be_hosts();
	} else if (step_is("device")) {
		print_device();
	} else if (step_is("hold")) {
		each(hold_one);
		puts("held");
		fflush(stdout);
		pause();
	} else if (step_is("forget")) {
		forget();
	} else if (step_is("live") || step_is("dead")) {
		wait_for_controllers(step_is("live"));
	} else if (step_is("disconnect")) {
		each(disconnect_one);
	} else if (step_is("remove")) {
		begin();
		each(remove_one);
		stop();
		assert_nothing_left();
	} else if (step_is("guard")) {
		guard();
	} else if (step_is("foreign")) {
		nft("table inet theirs { chain input { type filter hook input priority 0; }; }\n");
	} else if (step_is("unforeign")) {
		nft("delete table inet theirs\n");
	} else {
		assert_true(step_is("restore") || step_is("interrupted") || step_is("unguarded"));
		restore();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(run_step) };
	char *just_pool[] = { argv[0], argc == 4 ? argv[1] : NULL, NULL };

	if (argc != 4 || parse_arguments(2, just_pool) < 0) {
		fprintf(stderr, "usage: %s POOL-DIRECTORY COUNT STEP\n", argv[0]);
		return 2;
	}
	count = (unsigned)atoi(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	step = argv[3];
	if (step_is("unguarded"))
		setenv("PATH", "/nonexistent", 1);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
