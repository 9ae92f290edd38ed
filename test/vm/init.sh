#!/usr/bin/busybox sh
# Process 1 of the VM: a system just complete enough for BPF and network tests.
# What it says itself goes to the console; the payload has a serial port of its own.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf -o mode=0700 bpf /sys/fs/bpf
ln -s /proc/self/fd /dev/fd
mkdir -p /run/netns
hostname xdpmux-vm
ulimit -l unlimited
[ -d /sys/module/veth ] || modprobe veth
ip link set lo up
# Raw: the payload's bytes reach the host as they are. The pipe keeps the payload
# from taking the port for a terminal. The kernel's command line names the port.
stty -F "/dev/$payload" raw -echo
/usr/bin/sh /payload </dev/null 2>&1 | cat >"/dev/$payload"
# The host ends the VM when it has read the payload's last mark, so this is only
# reached at once when it has not.
sync
poweroff -f
