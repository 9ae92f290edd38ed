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
	e := &xdp.Error{Kind: xdp.ErrPermission, Err: err, Msg: "the kernel refused permission", Remedy: "-v shows what was refused"}
	if missing := Missing(); len(missing) > 0 {
		e.Msg = "permission denied: " + strings.Join(missing, ", ") + " missing"
		e.Remedy = Remedy()
	}
	return e
}

// Denied is what [Explain] says of err if a capability is missing, and nil otherwise.
func Denied(err error) error {
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) || len(Missing()) == 0 {
		return nil
	}
	return Explain(err)
}
