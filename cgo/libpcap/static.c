//go:build static

/* The static libpcap can capture the messages of D-Bus. Through these two functions it would
 * bring libdbus and libsystemd, and there is no static libsystemd. Nobody captures here; so
 * D-Bus has no devices.
 */
#include <pcap/pcap.h>

struct pcap_if_list;

int dbus_findalldevs(struct pcap_if_list *devices, char *error);
pcap_t *dbus_create(const char *device, char *error, int *is_ours);

int dbus_findalldevs(struct pcap_if_list *devices, char *error)
{
	return 0;
}

pcap_t *dbus_create(const char *device, char *error, int *is_ours)
{
	*is_ours = 0;
	return NULL;
}
