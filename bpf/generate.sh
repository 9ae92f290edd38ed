#!/bin/sh
# Compiles the embedded BPF objects into a directory: bpf/generate.sh bpf/objects
#
# Another version of clang compiles them to other instructions, which CI has not tried. So
# the version is named in bpf/objects/clang, and --check compares only where it is here.
set -eu

clang=${CLANG:-clang} strip=${LLVM_STRIP:-llvm-strip}
root=$(cd "$(dirname "$0")/.." && pwd)

compile() { # TARGET SOURCE OBJECT [FLAGS...]
	target=$1 source=$2 object=$3
	shift 3
	# Relative paths, and no directory: nothing of this machine is to be in the object.
	"$clang" -O2 -g -Wall -Werror $headers -fdebug-compilation-dir=. -target "$target" "$@" -c "$source" -o "$object"
	"$strip" -g "$object" # DWARF, not BTF
}

generate() { # DIRECTORY LENGTH SOCKET
	for target in bpfel bpfeb; do
		mkdir -p "$1/$target"
		rm -f "$1/$target"/*.o
		for source in probe/*.bpf.c; do
			compile $target "$source" "$1/$target/$(basename "$source" .bpf.c).o"
		done
		for version in 2 3; do
			compile $target dispatcher/xdpmux_dispatcher.bpf.c "$1/$target/dispatcher-$version.o" -DVERSION=$version
		done
	done
	compile bpfel samples/xdp_length.bpf.c "$2"
	compile bpfel samples/xdp_socket.bpf.c "$3"
}

# Debian and Ubuntu keep asm/types.h in a directory of the architecture.
multiarch=$(gcc -print-multiarch 2>/dev/null) || multiarch=
headers=${multiarch:+-I/usr/include/$multiarch}

cd "$root/bpf"
wanted=$(cat objects/clang)
here=$("$clang" --version | head -n 1)
length=../dispatcher/testdata/xdp_length.o # embedded by an example of package dispatcher
socket=../examples/af_xdp/xdp_socket.o     # and by a command

if [ "${1-}" != --check ]; then
	[ "$here" = "$wanted" ] || echo "generate: this is $here; CI compares with what $wanted makes" >&2
	generate objects $length $socket
	exit
fi

fresh=$root/build/objects
rm -rf "$fresh"
generate "$fresh" "$fresh.length" "$fresh.socket"
if [ "$here" != "$wanted" ]; then
	echo "generate: the objects compile; they are not compared, for they are made by $wanted, and this is $here" >&2
	exit
fi
diff -r -x clang objects "$fresh" && cmp $length "$fresh.length" && cmp $socket "$fresh.socket" || { echo "generate: bpf/objects or the example isn't what the sources give: run make generate, and commit" >&2; exit 1; }
