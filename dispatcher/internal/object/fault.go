package object

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func ExplainVerifier(o *Program, log string, err error) error {
	cause := &libbpf.Error{Op: "bpf_object__load", Errno: syscall.EINVAL, Log: log}
	var e *libbpf.Error
	if errors.As(err, &e) {
		cause.Op, cause.Errno = e.Op, e.Errno
	}
	result := &xdp.Error{Kind: xdp.ErrVerifier, Err: cause,
		Msg: fmt.Sprintf("the verifier refused program %q of %s", o.Bpf.Name(), o.Called)}
	if strings.Contains(log, "changes packet data, while original does not") {
		result.Msg = fmt.Sprintf("program %q of %s moves the packet's head or tail, and this kernel doesn't take that into the dispatcher of the host's libxdp",
			o.Bpf.Name(), o.Called)
	}
	return result
}

// CantHost is the error of a program that the kernel refused in this dispatcher, with EINVAL.
// Perhaps the program changes packet data. Then xdpmux's own dispatcher can host it.
type CantHost struct{ Err error }

func (e CantHost) Error() string { return e.Err.Error() }

func (e CantHost) Unwrap() error { return e.Err }
