package check

import "github.com/xdpmux/xdpmux/dispatcher/internal/privilege"

func checkCapabilities() []Check {
	own := privilege.OwnCapabilities()
	var checks []Check
	for _, c := range privilege.NeededCapabilities {
		switch {
		case own.Has(c):
			checks = append(checks, ok(c.Name, "there; needed %s", c.Needs))
		case c.Included && own.Has(privilege.SysAdmin):
			checks = append(checks, ok(c.Name, "part of CAP_SYS_ADMIN, which is there; needed %s", c.Needs))
		default:
			checks = append(checks, Check{Name: c.Name, State: Missing, Detail: "needed " + c.Needs, Remedy: privilege.Remedy()})
		}
	}
	all := ok(privilege.SysAdmin.Name, "there; needed %s", privilege.SysAdmin.Needs)
	if !own.Has(privilege.SysAdmin) {
		all = limited(privilege.SysAdmin.Name, "missing: only chains that xdpmux has pinned are in reach; needed "+privilege.SysAdmin.Needs, "%s", privilege.Remedy())
	}
	return append(checks, all)
}
