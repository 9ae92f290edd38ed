// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Spreads packets over CPUs: receive side scaling in software, for a device that
 * has too few queues or can't hash what it receives.
 *
 * It teaches a redirect through a CPUMAP. The map has a queue for each CPU, which a
 * kernel thread on that CPU empties into the network stack. It also teaches a
 * tracepoint: packets are put into a queue in bulk, so only later it is known
 * whether a packet found room there.
 *
 * Both directions of a flow get the same CPU. A redirect ends the chain, unless it is
 * made a chain call action. So this program belongs at the end of a chain, where
 * packets that others drop cost nothing any more: hence the priority of 100. Until
 * user space has filled config and cpu_map, it passes all packets.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <xdp/xdp_helpers.h>

#define MAX_CPUS 128 /* the kernel takes no CPUMAP larger than it could have CPUs */
#define MAX_VLANS 2
#define IP_FRAGMENT 0x3fff /* more fragments follow, or the offset isn't zero */

struct {
	__uint(priority, 100);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(xdp_cpumap_rss);

struct config {
	__u32 map_id; /* of cpu_map, to know its packets in the tracepoint */
	__u32 count;  /* of the CPUs to use */
	__u32 cpus[MAX_CPUS];
};

struct counters {
	__u64 enqueued;
	__u64 dropped; /* no room in the queue */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, MAX_CPUS);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpu_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, __u32); /* the CPU that packets go to */
	__type(value, struct counters);
} rss SEC(".maps");

struct vlan {
	__be16 tag;
	__be16 proto;
};

/* One end of a flow. */
struct end {
	__u32 addr[4];
	__u32 port;
};

static __always_inline __u32 mix(__u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

static __always_inline __u32 hash_end(const struct end *e)
{
	__u32 h = mix(e->port + 1);

#pragma unroll
	for (int i = 0; i < 4; i++)
		h = mix(h + e->addr[i]);
	return h;
}

static __always_inline int has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE ||
	       proto == IPPROTO_SCTP || proto == IPPROTO_DCCP;
}

/* All of these protocols begin with the two ports. If a packet is cut short before them,
 * only its addresses count. */
static __always_inline void read_ports(void *at, void *end, struct end *src, struct end *dst)
{
	__be16 *ports = at;

	if ((void *)(ports + 2) > end)
		return;
	src->port = ports[0];
	dst->port = ports[1];
}

/* Hashes a packet to the same number in both directions; -1: it isn't IP. */
static __always_inline __s64 hash_packet(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct end src = {}, dst = {};
	__u8 proto = 0; /* stays 0 where only the addresses count */
	void *at = eth + 1;
	__be16 type;

	if (at > end)
		return -1;
	type = eth->h_proto;
#pragma unroll
	for (int i = 0; i < MAX_VLANS; i++) {
		struct vlan *vlan = at;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(vlan + 1) > end)
			return -1;
		type = vlan->proto;
		at = vlan + 1;
	}
	if (type == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = at;

		if ((void *)(ip + 1) > end)
			return -1;
		src.addr[0] = ip->saddr;
		dst.addr[0] = ip->daddr;
		if (!(ip->frag_off & bpf_htons(IP_FRAGMENT)) && has_ports(ip->protocol)) {
			proto = ip->protocol;
			read_ports(at + ip->ihl * 4, end, &src, &dst);
		}
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end)
			return -1;
		__builtin_memcpy(src.addr, &ip->saddr, sizeof(src.addr));
		__builtin_memcpy(dst.addr, &ip->daddr, sizeof(dst.addr));
		/* A fragment begins with an extension header: it has no ports here. */
		if (has_ports(ip->nexthdr)) {
			proto = ip->nexthdr;
			read_ports(ip + 1, end, &src, &dst);
		}
	} else {
		return -1;
	}
	/* A sum doesn't tell which end was the source. */
	return mix(hash_end(&src) + hash_end(&dst) + proto);
}

SEC("xdp")
int xdp_cpumap_rss(struct xdp_md *ctx)
{
	struct counters *c;
	struct config *cfg;
	__u32 key = 0, cpu;
	__s64 hash;
	int verdict;

	cfg = bpf_map_lookup_elem(&config, &key);
	if (!cfg || !cfg->count)
		return XDP_PASS;
	hash = hash_packet(ctx);
	if (hash < 0)
		return XDP_PASS;
	cpu = cfg->cpus[((__u64)hash * cfg->count >> 32) & (MAX_CPUS - 1)];
	verdict = bpf_redirect_map(&cpu_map, cpu, XDP_PASS); /* XDP_PASS: no such entry */
	if (verdict == XDP_REDIRECT) {
		c = bpf_map_lookup_elem(&rss, &cpu);
		if (c)
			c->enqueued++;
	}
	return verdict;
}

/* Runs when packets are put into the queue of a CPU, on the CPU that received them. What
 * found no room there was counted as enqueued above. */
SEC("tp_btf/xdp_cpumap_enqueue")
int BPF_PROG(cpumap_enqueue, int map_id, unsigned int processed, unsigned int drops, int to_cpu)
{
	__u32 key = 0, cpu = to_cpu;
	struct counters *c;
	struct config *cfg;

	cfg = bpf_map_lookup_elem(&config, &key);
	if (!cfg || map_id != cfg->map_id)
		return 0;
	c = bpf_map_lookup_elem(&rss, &cpu);
	if (c) {
		c->enqueued -= drops;
		c->dropped += drops;
	}
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
