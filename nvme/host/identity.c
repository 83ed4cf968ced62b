/* SPDX-License-Identifier: Apache-2.0 */
/* The host's identity: its sources, the derivation from the machine ID, persistence. */
#include "nvme/host/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/file.h"
#include "nvme/base/log.h"

#define LINE_SIZE 512
#define MACHINE_ID_BYTES 16
#define NQN_UUID_PREFIX "nqn.2014-08.org.nvmexpress:uuid:"
#define UUID_MARK ":uuid:"

/* Names hosts, and nothing else; changing it would change the identity of nodes in the field. */
static const char host_namespace_uuid[] = "7c1e1b0a-52f3-4d8e-9a36-c0d9f4b6e215";

static struct uuid derive_uuid(const char *name)
{
	uuid_t space, derived;
	struct uuid uuid;

	uuid_parse(host_namespace_uuid, space);
	uuid_generate_sha1(derived, space, name, strlen(name));
	uuid_unparse_lower(derived, uuid.text);
	return uuid;
}

/* The first line of a file without blanks around it. 1: read; 0: absent or empty; -1: error. */
static int read_line(const char *path, char line[LINE_SIZE], struct err *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *blanks = " \t\r";
	size_t skip;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
							     err_sys(err, errno, "open %s", path);
	n = read(fd, line, LINE_SIZE - 1);
	if (n < 0)
		return err_sys(err, errno, "read %s", path);
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	skip = strspn(line, blanks);
	memmove(line, line + skip, strlen(line + skip) + 1);
	for (size_t len = strlen(line); len && strchr(blanks, line[len - 1]); len--)
		line[len - 1] = '\0';
	return line[0] != '\0';
}

static int read_nqn(const char *path, char nqn[NQN_SIZE], struct err *err)
{
	char line[LINE_SIZE];
	int rc = read_line(path, line, err);

	if (rc <= 0)
		return rc;
	if (parse_nqn("host NQN", line, nqn, err) < 0) {
		err_wrap(err, "%s", path);
		return err_recode(err, ERR_FAILED_PRECONDITION);
	}
	return 1;
}

static int read_machine_id(const char *path, char line[LINE_SIZE], struct err *err)
{
	static const uint8_t zero[MACHINE_ID_BYTES];
	uint8_t bytes[MACHINE_ID_BYTES];
	struct err malformed;
	int rc = read_line(path, line, err);

	if (rc < 0)
		return -1;
	if (rc == 0 || strcmp(line, "uninitialized") == 0)
		return err_set(err, ERR_FAILED_PRECONDITION, "machine ID file %s is %s", path,
			       rc ? "uninitialized" : "absent or empty");
	if (parse_hex("machine ID", line, bytes, sizeof(bytes), &malformed) < 0 ||
	    memcmp(bytes, zero, sizeof(zero)) == 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s: machine ID \"%.64s\" is not 32 hexadecimal digits, not all "
			       "zero",
			       path, line);
	return 0;
}

static int derive_and_persist(const char *state_dir, const char *machine_id_file,
			      char nqn[NQN_SIZE], struct err *err)
{
	cleanup_root struct root state = ROOT_INIT;
	cleanup_free char *derived = NULL;
	char machine_id[LINE_SIZE];
	struct uuid uuid;

	if (read_machine_id(machine_id_file, machine_id, err) < 0)
		return -1;
	uuid = derive_uuid(machine_id);
	derived = xasprintf("%s%s", NQN_UUID_PREFIX, uuid.text);
	if (file_mkdirs(state_dir, err) < 0 || root_open(&state, state_dir, err) < 0 ||
	    file_replace(&state, HOST_IDENTITY_FILE, derived, err) < 0)
		return err_wrap(err, "persist host NQN %s", derived);
	log_info("host NQN derived from the machine ID", KV("hostnqn", derived),
		 KV("machine_id_file", machine_id_file), KV("persisted_in", state_dir));
	strcpy(nqn, derived);
	return 0;
}

static struct uuid id_of(const char *nqn)
{
	const char *mark = strstr(nqn, UUID_MARK);
	struct err malformed;
	struct uuid uuid;

	if (mark && parse_uuid("host ID", mark + strlen(UUID_MARK), &uuid, &malformed) == 0)
		return uuid;
	return derive_uuid(nqn);
}

int host_identity_resolve(const char *nqn_file, const char *state_dir, const char *machine_id_file,
			  struct host_identity *ret, struct err *err)
{
	cleanup_free char *persisted_file = xasprintf("%s/%s", state_dir, HOST_IDENTITY_FILE);
	char persisted[NQN_SIZE] = "";
	char given[NQN_SIZE] = "";

	if (read_nqn(nqn_file, given, err) < 0 || read_nqn(persisted_file, persisted, err) < 0)
		return -1;
	if (given[0] && persisted[0] && strcmp(given, persisted) != 0)
		log_warning("the host NQN has changed; volumes connected under the former one are "
			    "not found any more",
			    KV("hostnqn", given), KV("hostnqn_file", nqn_file),
			    KV("former", persisted), KV("former_file", persisted_file));
	if (!given[0] && persisted[0])
		strcpy(given, persisted);
	if (!given[0] && derive_and_persist(state_dir, machine_id_file, given, err) < 0)
		return err_wrap(err, "no host NQN in %s, and none can be derived", nqn_file);
	strcpy(ret->nqn, given);
	ret->id = id_of(given);
	return 0;
}
