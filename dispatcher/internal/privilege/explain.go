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
	if denied := Denied(err); denied != nil {
		return denied
	}
	return (&xdp.Error{Kind: xdp.ErrPermission, Err: err, Msg: "the kernel refused permission"}).Advise("%v", xdp.Hint{To: xdp.HintCause})
}

// Denied is what [Explain] says of err if a capability is missing, and nil otherwise.
func Denied(err error) error {
	if errors.Is(err, xdp.ErrPermission) {
		return err
	}
	missing := lacking(err)
	if len(missing) == 0 {
		return nil
	}
	return &xdp.Error{Kind: xdp.ErrPermission, Err: err, Msg: "permission denied: " + strings.Join(missing, ", ") + " missing", Remedy: Remedy()}
}

// lacking names the capabilities whose lack may be behind err. The lack of CAP_SYS_ADMIN is, if
// nothing else is missing and it isn't about a file.
func lacking(err error) []string {
	file := errors.Is(err, syscall.EACCES)
	if !file && !errors.Is(err, syscall.EPERM) {
		return nil
	}
	missing := Missing()
	if len(missing) == 0 && !file && !OwnCapabilities().Has(SysAdmin) {
		missing = []string{SysAdmin.Name}
	}
	return missing
}

// ByID is the error of a process for which the kernel opens nothing by its id. err is the
// kernel's.
func ByID(err error) error {
	return &xdp.Error{Kind: xdp.ErrPermission, Err: err,
		Msg: "permission denied: " + SysAdmin.Name + " missing, which it takes to open what xdpmux has not pinned", Remedy: Remedy()}
}
