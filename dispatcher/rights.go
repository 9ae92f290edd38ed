package dispatcher

import "github.com/xdpmux/xdpmux/dispatcher/internal/privilege"

// MoreRights says whether the process was started with more rights than its caller has, by
// a set-user-ID bit or file capabilities (AT_SECURE of getauxval(3)). What the caller
// controls, such as the environment, isn't to be trusted then.
func MoreRights() bool { return privilege.MoreRights() }
