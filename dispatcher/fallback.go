package dispatcher

import (
	"errors"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// fallbackReason finds out why libxdp attached a program without a dispatcher.
func fallbackReason(o *object.Program, said []string) string {
	switch {
	case privilege.Getenv(privilege.EnvSkipDispatcher) == "1":
		return privilege.EnvSkipDispatcher + " is set"
	case !o.Obj.HasBTF():
		return object.WithoutBTF(o)
	}
	var e *xdp.Error
	if err := protocol.CheckBPFFS(); errors.As(err, &e) {
		return strings.TrimPrefix(e.Msg, "no dispatcher possible: ") + "; " + e.Remedy
	}
	if err := protocol.ProbeFreplace(); errors.As(err, &e) {
		return strings.TrimPrefix(e.Msg, "no dispatcher possible: ")
	}
	return "libxdp said: " + strings.Join(said, "; ")
}
