package privilege

import (
	"errors"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Explain names the missing capability behind an EPERM; another error
// stays as it is.
func Explain(err error) error {
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) {
		return err
	}
	if missing := Missing(); len(missing) > 0 {
		return &xdp.Error{Kind: xdp.ErrPermission, Err: err, Msg: "permission denied: " + strings.Join(missing, ", ") + " missing", Remedy: Remedy()}
	}
	return (&xdp.Error{Kind: xdp.ErrPermission, Err: err, Msg: "the kernel refused permission"}).Advise("%v", xdp.Hint{To: xdp.HintCause})
}

// Denied is what [Explain] says of err if a capability is missing, and nil otherwise.
func Denied(err error) error {
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) || len(Missing()) == 0 {
		return nil
	}
	return Explain(err)
}
