package desired

import (
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// invalid is an error about a place in a file, "file:line:column".
func invalid(where, format string, args ...any) *xdp.Error {
	msg := fmt.Sprintf(format, args...)
	if where != "" {
		msg = where + ": " + msg
	}
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: msg}
}

// locate adds the place in the file to an error about what stands there.
func locate(where string, err error) error {
	var e *xdp.Error
	if where == "" || !errors.As(err, &e) {
		return err
	}
	placed := *e
	placed.Msg = where + ": " + e.Msg
	return &placed
}
