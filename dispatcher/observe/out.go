package observe

// ends says whether what a program says of a packet is the last word on its interface.
func ends(p Program) bool { return p.Role == RoleDispatcher || p.Role == RoleLegacy }

// out is [Chain.Out] of what c holds, and of what isn't in it any more.
func (f *followed) out(c Chain) Counts {
	total := f.left
	for _, p := range c.Programs {
		if ends(p) {
			total.add(p.Counts)
		}
	}
	return total
}

// forgotten keeps what a row has counted that goes. A dispatcher's stays.
func (f *followed) forgotten(r *row) {
	if ends(r.Program) {
		f.left.add(r.base)
	}
}
