/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of locals. A variable that owns something is declared with its cleanup macro and an
 * initialiser, and gives it away visibly with steal_ptr or steal_fd.
 */
#ifndef NVME_BASE_CLEANUP_H
#define NVME_BASE_CLEANUP_H

#include <stddef.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define CLEANUP(function) __attribute__((cleanup(function)))

/* Declares the cleanup function of a pointer type from its destructor, which must accept NULL. */
#define DEFINE_CLEANUP(type, destructor)                                                           \
	static inline void destructor##p(type *p)                                                  \
	{                                                                                          \
		if (*p)                                                                            \
			destructor(*p);                                                            \
	}

void cleanup_freep(void *p);
void cleanup_closep(int *fd);

#define cleanup_free CLEANUP(cleanup_freep)
#define cleanup_close CLEANUP(cleanup_closep)

#define steal_ptr(p)                                                                               \
	({                                                                                         \
		__typeof__(p) steal_from_ = (p);                                                   \
		__typeof__(*steal_from_) stolen_ = *steal_from_;                                   \
		*steal_from_ = NULL;                                                               \
		stolen_;                                                                           \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* Allocation that aborts when memory is out; every size from outside is bounded before it. */
void *xcalloc(size_t count, size_t size) __attribute__((malloc));
void *xrealloc(void *p, size_t count, size_t size);
char *xstrdup(const char *text) __attribute__((malloc));
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2), malloc));

#endif
