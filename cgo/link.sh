#!/bin/sh
# Prints how to link: static where a static link succeeds, otherwise dynamic. A library may be
# there and not link: Debian 13's libelf.a lacks symbols.
# FILE, the argument, keeps the answer until the static libraries or the compiler change.
set -eu
file=$1

key=$(for library in xdp bpf elf z zstd pcap; do
	archive=$(${CC:-gcc} -print-file-name=lib$library.a)
	stat -L -c '%n %s %Y' "$archive" 2>/dev/null || echo "no $archive"
done; ${CC:-gcc} -dumpfullversion)
if [ -f "$file" ] && [ "$(tail -n +2 "$file")" = "$key" ]; then
	head -n 1 "$file"
	exit
fi

mkdir -p "$(dirname "$file")"
link=static
cat >"$file.c" <<END
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
void *pcap_open_dead(int, int); /* its header and libbpf.h exclude each other */
int main(void) { return !xdp_program__from_bpf_obj(bpf_object__open("x.o"), "xdp") || !pcap_open_dead(1, 1); }
END
why=$(${CC:-gcc} -o "$file.tmp" "$file.c" "$(dirname "$0")/libpcap/static.c" -static -lpcap $(pkg-config --static --libs libxdp libbpf) 2>&1) || link=dynamic
rm -f "$file.tmp" "$file.c"
if [ $link = static ]; then
	echo "link: static, as a static link of libxdp, libbpf and libpcap succeeds" >&2
else
	echo "link: dynamic, as a static link fails here: $(echo "$why" | grep -m 1 -oE 'undefined reference to .*|cannot find .*' || echo "$why" | tail -n 1)" >&2
fi
printf '%s\n%s\n' "$link" "$key" >"$file"
echo "$link"
