/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of TLS files, and gRPC credentials that follow their changes. */
#include "csi/rpc/tls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/file.h"
#include "nvme/base/log.h"

enum { CA, CERT, KEY };

static const struct {
	const char *name;
	const char *mark; /* what a PEM file of this kind contains */
	const char *what;
} kinds[RPC_TLS_FILES] = {
	[CA] = { "ca.crt", "-----BEGIN CERTIFICATE-----", "certificate" },
	[CERT] = { "tls.crt", "-----BEGIN CERTIFICATE-----", "certificate" },
	[KEY] = { "tls.key", "PRIVATE KEY-----", "private key" },
};

struct tls_files {
	char *text[RPC_TLS_FILES];
	struct rpc_tls_stamp stamp;
};

struct rpc_tls_server {
	char *dir;
	grpc_server_credentials *credentials;
	pthread_mutex_t lock;
	bool loaded;
	struct rpc_tls_stamp stamp; /* of what is in use */
};

static void tls_files_fini(struct tls_files *files)
{
	for (size_t i = 0; i < RPC_TLS_FILES; i++) {
		if (files->text[i])
			explicit_bzero(files->text[i], strlen(files->text[i]));
		free(files->text[i]);
	}
}
#define cleanup_tls_files CLEANUP(tls_files_fini)

struct rpc_tls_stamp rpc_tls_stamp(const char *dir)
{
	struct rpc_tls_stamp stamp;
	char path[PATH_MAX];
	struct stat st;

	memset(&stamp, 0, sizeof(stamp));
	for (size_t i = 0; i < RPC_TLS_FILES; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, kinds[i].name);
		if (stat(path, &st) < 0)
			continue;
		stamp.file[i].dev = st.st_dev;
		stamp.file[i].ino = st.st_ino;
		stamp.file[i].size = st.st_size;
		stamp.file[i].modified = st.st_mtim;
	}
	return stamp;
}

bool rpc_tls_stamp_equal(const struct rpc_tls_stamp *a, const struct rpc_tls_stamp *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static int read_file(const struct root *root, size_t kind, char **ret, struct err *err)
{
	cleanup_free char *text = NULL;
	int rc = file_read(root, kinds[kind].name, &text, err);

	if (rc < 0)
		return err_recode(err, ERR_FAILED_PRECONDITION);
	if (rc == 0)
		return err_set(err, ERR_FAILED_PRECONDITION, "TLS directory %s has no %s",
			       root->path, kinds[kind].name);
	if (!strstr(text, kinds[kind].mark))
		return err_set(err, ERR_FAILED_PRECONDITION, "%s/%s is not a %s in PEM form",
			       root->path, kinds[kind].name, kinds[kind].what);
	*ret = steal_ptr(&text);
	return 0;
}

static int load(const char *dir, struct tls_files *ret, struct err *err)
{
	cleanup_root struct root root = ROOT_INIT;

	/* Before reading: a change meanwhile makes the stamp old, and the next look reads again. */
	ret->stamp = rpc_tls_stamp(dir);
	if (root_open(&root, dir, err) < 0) {
		err_wrap(err, "TLS directory");
		return err_recode(err, ERR_FAILED_PRECONDITION);
	}
	for (size_t i = 0; i < RPC_TLS_FILES; i++)
		if (read_file(&root, i, &ret->text[i], err) < 0)
			return -1;
	return 0;
}

int rpc_tls_client(const char *dir, grpc_channel_credentials **ret, struct rpc_tls_stamp *ret_stamp,
		   struct err *err)
{
	cleanup_tls_files struct tls_files files = { 0 };
	grpc_ssl_pem_key_cert_pair pair;
	grpc_channel_credentials *credentials;

	if (load(dir, &files, err) < 0)
		return -1;
	pair.private_key = files.text[KEY];
	pair.cert_chain = files.text[CERT];
	credentials = grpc_ssl_credentials_create_ex(files.text[CA], &pair, NULL, NULL);
	if (!credentials)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "TLS directory %s: no credentials can be made of its files", dir);
	*ret = credentials;
	*ret_stamp = files.stamp;
	return 0;
}

static int fetch(struct rpc_tls_server *tls, grpc_ssl_server_certificate_config **ret,
		 struct err *err)
{
	cleanup_tls_files struct tls_files files = { 0 };
	grpc_ssl_pem_key_cert_pair pair;

	if (load(tls->dir, &files, err) < 0)
		return -1;
	pair.private_key = files.text[KEY];
	pair.cert_chain = files.text[CERT];
	*ret = grpc_ssl_server_certificate_config_create(files.text[CA], &pair, 1);
	tls->stamp = files.stamp;
	if (tls->loaded)
		log_info("TLS files have changed and are read again", KV("dir", tls->dir));
	tls->loaded = true;
	return 0;
}

/* gRPC asks here once when it starts to listen and then at every handshake. */
static grpc_ssl_certificate_config_reload_status
on_handshake(void *data, grpc_ssl_server_certificate_config **ret)
{
	grpc_ssl_certificate_config_reload_status status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
	struct rpc_tls_server *tls = data;
	struct rpc_tls_stamp now = rpc_tls_stamp(tls->dir);
	struct err err = ERR_INIT;

	pthread_mutex_lock(&tls->lock);
	if (tls->loaded && rpc_tls_stamp_equal(&now, &tls->stamp)) {
		status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
	} else if (fetch(tls, ret, &err) < 0) {
		log_error("TLS files cannot be read; the ones before stay in use", KV_ERR(&err));
		status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
	}
	pthread_mutex_unlock(&tls->lock);
	return status;
}

int rpc_tls_server_new(const char *dir, struct rpc_tls_server **ret, struct err *err)
{
	cleanup_tls_files struct tls_files files = { 0 };
	struct rpc_tls_server *tls;

	/* gRPC reads only when it binds, and gives no reasons: find the bad file before. */
	if (load(dir, &files, err) < 0)
		return -1;
	tls = xcalloc(1, sizeof(*tls));
	tls->dir = xstrdup(dir);
	pthread_mutex_init(&tls->lock, NULL);
	tls->credentials = grpc_ssl_server_credentials_create_with_options(
		grpc_ssl_server_credentials_create_options_using_config_fetcher(
			GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, on_handshake,
			tls));
	*ret = tls;
	return 0;
}

grpc_server_credentials *rpc_tls_server_credentials(const struct rpc_tls_server *tls)
{
	return tls->credentials;
}

void rpc_tls_server_free(struct rpc_tls_server *tls)
{
	grpc_server_credentials_release(tls->credentials);
	pthread_mutex_destroy(&tls->lock);
	free(tls->dir);
	free(tls);
}
