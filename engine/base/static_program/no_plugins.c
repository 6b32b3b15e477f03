// Linked into programs that bring their C library along (POTLUCK_STATIC). Shared libraries of the
// system are made for another C library than that one: none is loaded.
#include <stddef.h>

// Takes the place of the C library's, for OpenSSL, which the system's configuration may tell to
// load engines and providers.
void* dlopen(const char* name, int flags) {
  (void)name;
  (void)flags;
  return NULL;
}

// Names of hosts are asked of /etc/hosts and of name servers; other ways that the system's
// configuration may name are such libraries. Names that end in .local (mDNS) are among them.
int __nss_configure_lookup(const char* database, const char* services);

__attribute__((constructor)) static void look_up_without_plugins(void) {
  (void)__nss_configure_lookup("hosts", "files dns");
}
