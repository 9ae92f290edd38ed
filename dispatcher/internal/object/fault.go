package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func ExplainVerifier(o *Program, log string, err error) error {
	result := explainVerifier(o.Bpf.Name(), o.Called, log, err)
	if strings.Contains(log, "changes packet data, while original does not") {
		does := "moves the packet's head or tail"
		if helpers, _ := o.Obj.File.Calls(o.Bpf.Name()); slices.Contains(helpers, tailCall) {
			does = "makes tail calls, and what they call may move the packet's head or tail"
		}
		result.Msg = fmt.Sprintf("program %q of %s %s, and this kernel doesn't take that into the dispatcher of the host's libxdp", o.Bpf.Name(), o.Called, does)
	}
	return result
}

const tailCall = 12 // bpf_tail_call (enum bpf_func_id)

// explainVerifier is the error of a program that the verifier refuses.
func explainVerifier(program, called, log string, err error) *xdp.Error {
	cause := &libbpf.Error{Op: "bpf_object__load", Errno: syscall.EINVAL, Log: log}
	var e *libbpf.Error
	if errors.As(err, &e) {
		cause.Op, cause.Errno = e.Op, e.Errno
	}
	return &xdp.Error{Kind: xdp.ErrVerifier, Err: cause, Msg: fmt.Sprintf("the verifier refused program %q of %s", program, called)}
}

// CantHost is the error of a program that the kernel refused in this dispatcher, with EINVAL.
// Perhaps the program changes packet data. Then xdpmux's own dispatcher can host it.
type CantHost struct{ Err error }

func (e CantHost) Error() string { return e.Err.Error() }

func (e CantHost) Unwrap() error { return e.Err }
