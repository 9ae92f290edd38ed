package output

import (
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Remedy is a remedy that names our options and commands.
func (o *Printer) Remedy(remedy string, hints []xdp.Hint) string {
	return xdp.RemedyWith(remedy, hints, o.called)
}

// called is what a hint names, as it is called on the command line.
func (o *Printer) called(h xdp.Hint) string {
	switch h.To {
	case xdp.HintMode:
		return "-m " + h.Mode.String()
	case xdp.HintSection:
		return "--section"
	case xdp.HintName:
		return "--prog-name"
	case xdp.HintPinPath:
		return "--pin-path"
	case xdp.HintAttach:
		return "xdpmux load " + h.Interface + " <file>"
	case xdp.HintAdopt:
		if o.InFull {
			return "name its program in the file, and use --adopt"
		}
		return "load --adopt FILE " + h.Interface + " <file>"
	case xdp.HintDetach:
		if h.Interface == "" {
			h.Interface = "IFNAME"
		}
		return "unload " + h.Interface + " -i ID"
	case xdp.HintDetachAll:
		call := strings.TrimSpace("unload -a " + h.Interface)
		if o.InFull {
			call = "xdpmux " + call
		}
		return call
	case xdp.HintUpgrade:
		return "xdpmux upgrade " + h.Interface
	case xdp.HintStatus:
		return "xdpmux status"
	case xdp.HintClean:
		return "xdpmux clean"
	case xdp.HintCheck:
		return strings.TrimSpace("xdpmux check " + h.Interface)
	case xdp.HintLibxdpLog:
		return "-v shows what libxdp says"
	case xdp.HintLibbpfLog:
		return "-vv shows libbpf's own words"
	case xdp.HintVerifierLog:
		return "-v shows the verifier's words"
	case xdp.HintConfirm:
		return "xdpmux confirm " + h.Interface
	case xdp.HintTakeBack:
		return "xdpmux revert " + h.Interface
	case xdp.HintPull:
		return "xdpmux image pull fetches it again"
	case xdp.HintBuild:
		return "xdpmux image build makes one that can be loaded, of an object for each byte order"
	case xdp.HintCause:
		return "-v shows what was refused"
	}
	return h.String()
}
