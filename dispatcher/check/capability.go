package check

import (
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
)

func checkCapabilities() []Check {
	own := privilege.OwnCapabilities()
	var checks []Check
	for _, c := range privilege.NeededCapabilities {
		switch {
		case own.Has(c):
			checks = append(checks, ok(c.Name, "there; needed %s", c.Needs))
		case c.Included && own&(1<<unix.CAP_SYS_ADMIN) != 0:
			checks = append(checks, ok(c.Name, "part of CAP_SYS_ADMIN, which is there; needed %s", c.Needs))
		default:
			checks = append(checks, Check{Name: c.Name, State: Missing, Detail: "needed " + c.Needs, Remedy: privilege.Remedy()})
		}
	}
	return checks
}
