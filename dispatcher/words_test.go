package dispatcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

func TestModes(t *testing.T) {
	for _, name := range ModeNames() {
		m, err := ParseMode(name)
		if err != nil || m.String() != name {
			t.Errorf("%s: got %v, %v", name, m, err)
		}
	}
	for _, name := range []string{"", "Native", "drv", "skb "} {
		if m, err := ParseMode(name); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, %v", name, m, err)
		}
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct{ in, out, json string }{
		{"XDP_PASS", "XDP_PASS", `["XDP_PASS"]`},
		{"XDP_PASS,XDP_DROP", "XDP_DROP,XDP_PASS", `["XDP_DROP","XDP_PASS"]`},
		{"pass,DROP,xdp_tx", "XDP_DROP,XDP_PASS,XDP_TX", `["XDP_DROP","XDP_PASS","XDP_TX"]`},
		{"XDP_REDIRECT,XDP_TX,XDP_ABORTED", "XDP_ABORTED,XDP_TX,XDP_REDIRECT", `["XDP_ABORTED","XDP_TX","XDP_REDIRECT"]`},
	} {
		a, err := ParseActions(c.in)
		if err != nil || a.String() != c.out {
			t.Errorf("%s: got %v, %v", c.in, a, err)
		}
		text, err := json.Marshal(a)
		if err != nil || string(text) != c.json {
			t.Errorf("%s: got %s, %v", c.in, text, err)
		}
		var back Actions
		if err := json.Unmarshal(text, &back); err != nil || back != a {
			t.Errorf("%s: read back %v, %v", c.in, back, err)
		}
	}
	for _, in := range []string{"", "XDP_PASS,", "Pass", "XDP_pass", "XDP_", "PASS DROP", "XDP_PASS XDP_DROP"} {
		if a, err := ParseActions(in); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, %v", in, a, err)
		}
	}
}

func TestMissingCapabilities(t *testing.T) {
	status := func(set uint64) string { return fmt.Sprintf("Name:\tx\nCapPrm:\t0\nCapEff:\t%016x\nCapBnd:\t0\n", set) }
	for _, c := range []struct {
		set  uint64
		want string
	}{
		{^uint64(0), ""},
		{0, "CAP_NET_ADMIN CAP_SYS_ADMIN"},
		{1 << 12, "CAP_SYS_ADMIN"},
		{1 << 21, "CAP_NET_ADMIN"},
	} {
		if diff := cmp.Diff(c.want, strings.Join(capabilitiesIn(status(c.set)).missing(), " ")); diff != "" {
			t.Errorf("%x (-want +got):\n%s", c.set, diff)
		}
	}
}

// TestErrors holds that an error tells its kind, its errno and the verifier's
// words, through every layer that wraps it.
func TestErrors(t *testing.T) {
	cause := &libbpf.Error{Op: "bpf_object__load", Errno: syscall.EACCES, Log: "R0 !read_ok"}
	err := fmt.Errorf("eth0: %w", &Error{Kind: ErrVerifier, Msg: "the verifier refused it", Err: cause})
	for _, target := range []error{ErrVerifier, syscall.EACCES, cause} {
		if !errors.Is(err, target) {
			t.Errorf("%v is not %v", err, target)
		}
	}
	if errors.Is(err, ErrLegacy) {
		t.Error("it is ErrLegacy too")
	}
	if VerifierLog(err) != "R0 !read_ok" {
		t.Errorf("log %q", VerifierLog(err))
	}
	if err.Error() != "eth0: the verifier refused it" {
		t.Error(err)
	}
}
