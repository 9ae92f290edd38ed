package observe

// ends says whether a program's counts are of packets that leave XDP there: its verdict is the
// last word on the interface.
func ends(p Program) bool { return p.Role == RoleDispatcher || p.Role == RoleLegacy }

// out is [Chain.Out]: what the programs of c count, and those that aren't in c any more.
func (f *followed) out(c Chain) Counts {
	total := f.left
	for _, p := range c.Programs {
		if ends(p) {
			total.add(p.Counts)
		}
	}
	return total
}

// forgotten keeps what a row has counted that is forgotten now. The dispatcher's row never is.
func (f *followed) forgotten(r *row) {
	if ends(r.Program) {
		f.left.add(r.base)
	}
}
