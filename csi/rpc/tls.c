/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of TLS files, and gRPC credentials that follow their changes. */
#include "csi/rpc/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "csi/rpc/refusal.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/clock.h"
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

#define READ_TRIES 3
#define FILE_MAX (256 * 1024) /* a bundle of many authorities fits */
#define DAY_S (24 * 60 * 60)
#define WARN_DAYS 7

struct tls_files {
	char *text[RPC_TLS_FILES];
	struct rpc_tls_own own;
};

struct rpc_tls_server {
	char *dir;
	grpc_server_credentials *credentials;
	pthread_mutex_t lock;
	bool loaded;
	struct rpc_tls_own own;	     /* what is in use */
	struct rpc_tls_stamp logged; /* files that were bad, as the log says */
};

static void tls_files_fini(struct tls_files *files)
{
	for (size_t i = 0; i < RPC_TLS_FILES; i++) {
		if (files->text[i])
			explicit_bzero(files->text[i], strlen(files->text[i]));
		free(files->text[i]);
		files->text[i] = NULL;
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

/* Follows links, unlike our own records: the files of a mounted secret are links. */
static int read_file(const char *dir, size_t kind, char **ret, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, kinds[kind].name);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_free char *text = xcalloc(1, FILE_MAX + 1);
	ssize_t len;

	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_FAILED_PRECONDITION, "TLS directory %s has no %s", dir,
			       kinds[kind].name);
	len = fd < 0 ? -1 : read(fd, text, FILE_MAX);
	if (len < 0) {
		err_sys(err, errno, "read %s", path);
		return err_recode(err, ERR_FAILED_PRECONDITION);
	}
	if (!strstr(text, kinds[kind].mark)) {
		explicit_bzero(text, (size_t)len);
		return err_set(err, ERR_FAILED_PRECONDITION, "%s is not a %s in PEM form", path,
			       kinds[kind].what);
	}
	*ret = steal_ptr(&text);
	return 0;
}

static int read_files(const char *dir, struct tls_files *ret, struct err *err)
{
	for (size_t i = 0; i < RPC_TLS_FILES; i++)
		if (read_file(dir, i, &ret->text[i], err) < 0)
			return -1;
	if (rpc_certificate_check(ret->text[CA], ret->text[CERT], ret->text[KEY],
				  &ret->own.certificate, err) < 0)
		return err_wrap(err, "TLS directory %s", dir);
	return 0;
}

/*
 * The stamp is taken before reading: a change meanwhile makes it old, so that files which changed
 * under our hands are read again, here or at the next look.
 */
static int load(const char *dir, struct tls_files *ret, struct err *err)
{
	struct rpc_tls_stamp now;
	int rc = -1;

	for (int i = 0; i < READ_TRIES; i++) {
		tls_files_fini(ret);
		ret->own = (struct rpc_tls_own) { .stamp = rpc_tls_stamp(dir) };
		rc = read_files(dir, ret, err);
		now = rpc_tls_stamp(dir);
		if (rpc_tls_stamp_equal(&now, &ret->own.stamp))
			break;
	}
	return rc;
}

void rpc_tls_log_bad(struct rpc_tls_stamp *logged, const struct rpc_tls_stamp *now,
		     const struct err *err)
{
	if (!rpc_tls_stamp_equal(logged, now))
		log_error("TLS files cannot be used; the ones before stay in use", KV_ERR(err));
	*logged = *now;
}

void rpc_tls_warn(const char *dir, struct rpc_tls_own *own)
{
	time_t now = time(NULL);
	const char *fault = rpc_certificate_fault(&own->certificate, now);
	bool soon = own->certificate.not_after - now < WARN_DAYS * DAY_S;

	if ((!*fault && !soon) || clock_now_ns() < own->warn_at_ns)
		return;
	own->warn_at_ns = clock_now_ns() + DAY_S * NS_PER_S;
	log_warning(*fault ? "our TLS certificate is refused by everybody" :
			     "our TLS certificate runs out within a week",
		    KV("dir", dir), KV("certificate", own->certificate.text),
		    KV("reason", *fault ? fault + strlen(", which ") : "soon to expire"));
}

int rpc_tls_client(const char *dir, grpc_channel_credentials **ret, struct rpc_tls_own *ret_own,
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
	*ret_own = files.own;
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
	tls->own = files.own;
	if (tls->loaded) {
		log_info("TLS files have changed and are read again", KV("dir", tls->dir));
		rpc_refusal_forget();
	}
	tls->loaded = true;
	return 0;
}

/* Called with the lock held. */
static grpc_ssl_certificate_config_reload_status renew(struct rpc_tls_server *tls,
						       grpc_ssl_server_certificate_config **ret)
{
	struct rpc_tls_stamp now = rpc_tls_stamp(tls->dir);
	struct err err = ERR_INIT;

	if (tls->loaded && rpc_tls_stamp_equal(&now, &tls->own.stamp))
		return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
	if (fetch(tls, ret, &err) == 0)
		return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
	rpc_tls_log_bad(&tls->logged, &now, &err);
	return tls->loaded ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED :
			     GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
}

/* gRPC asks here once when it starts to listen and then at every handshake. */
static grpc_ssl_certificate_config_reload_status
on_handshake(void *data, grpc_ssl_server_certificate_config **ret)
{
	grpc_ssl_certificate_config_reload_status status;
	struct rpc_tls_server *tls = data;

	pthread_mutex_lock(&tls->lock);
	status = renew(tls, ret);
	if (tls->loaded)
		rpc_tls_warn(tls->dir, &tls->own);
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
