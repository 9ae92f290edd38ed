package object

import (
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// WantsFrags says whether a program that isn't loaded yet takes packets of several
// buffers.
func WantsFrags(p *libbpf.Program) bool {
	return p.Flags()&libbpf.FlagXDPHasFrags != 0 || fragsSection(p.Section())
}

// fragsSection says whether a section's name asks for frags. libbpf acts on the
// name only when it loads the program as type xdp, which in a chain it isn't.
func fragsSection(section string) bool {
	return section == "xdp.frags" || strings.HasPrefix(section, "xdp.frags/")
}

// CanBeXDP says whether a program is XDP, or in a section whose name says nothing
// to libbpf, such as xdp_drop.
func CanBeXDP(p *libbpf.Program) bool {
	return p.Type() == libbpf.ProgTypeXDP || p.Type() == libbpf.ProgTypeUnspec
}
