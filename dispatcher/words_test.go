package dispatcher

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestErrors holds that an error tells its kind, its errno and the verifier's
// words, through every layer that wraps it.
func TestErrors(t *testing.T) {
	cause := &libbpf.Error{Op: "bpf_object__load", Errno: syscall.EACCES, Log: "R0 !read_ok"}
	err := fmt.Errorf("eth0: %w", &xdp.Error{Kind: xdp.ErrVerifier, Msg: "the verifier refused it", Err: cause})
	for _, target := range []error{xdp.ErrVerifier, syscall.EACCES, cause} {
		if !errors.Is(err, target) {
			t.Errorf("%v is not %v", err, target)
		}
	}
	if errors.Is(err, xdp.ErrLegacy) {
		t.Error("it is ErrLegacy too")
	}
	if VerifierLog(err) != "R0 !read_ok" {
		t.Errorf("log %q", VerifierLog(err))
	}
	if err.Error() != "eth0: the verifier refused it" {
		t.Error(err)
	}
}
