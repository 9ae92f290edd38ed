package dispatcher

import (
	"fmt"
	"slices"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Transaction is a set of changes to the chain of one interface, made in one swap
// of its dispatcher: a packet meets the chain as it was or as it will be. The
// programs that stay are not loaded anew, so they keep their maps and their ids.
// The zero value changes nothing.
type Transaction struct {
	// Mode is that of a new chain; the zero value is native. A chain that is there must have
	// it, unless it is [xdp.ModeUnspecified].
	Mode xdp.Mode

	Add     []xdp.Program // programs to load and add
	Remove  []uint32      // ids of programs to take away
	Replace []Replacement // programs that take another's place
	Set     []Setting     // new settings of programs that stay

	// Link takes programs that are loaded for other chains into this one, too, as the same
	// programs with the same maps. What a Setting leaves out is 50, XDP_PASS, and no frags. A
	// program that isn't loaded is an error ([xdp.ErrNoProgram]), and so is one that isn't of
	// a chain, or runs in this one already ([xdp.ErrInvalid]).
	Link []Setting

	// Adopt takes a program that is attached without a dispatcher into the chain. It is asked
	// what the program was loaded from, and which place it is to have. The program is loaded
	// anew from that, with another id, and goes on with all its maps, those of its global
	// variables and constants included. Another object is refused ([xdp.ErrNotSource]), and an
	// interface without such a program ([xdp.ErrNoProgram]). nil: such a program is in the
	// way ([xdp.ErrLegacy]), unless Replace names it.
	Adopt func(xdp.Loaded) (xdp.Program, error)

	// Version is that of the dispatcher that the chain is to have: 2, which libxdp 1.3 to
	// 1.5 write, or 3 of libxdp 1.6. 0 keeps the version of a chain that is there, and gives
	// a new chain that of the host's libxdp; see [NativeVersion]. Another version alone is a
	// change too.
	Version int

	// NativeCompatible refuses what would keep tools of the installed libxdp from
	// changing the chain afterwards ([xdp.ErrNativeLocked]): where libxdp is older than 1.5.5
	// and the kernel 6.12 or newer, a program that changes packet data.
	NativeCompatible bool

	// Warn, if there is one, is told before the change that it locks such tools out, where
	// NativeCompatible doesn't refuse it. After the change it is told what was replaced or
	// removed and stays loaded all the same (see [DetachOptions]), which packets the chain
	// doesn't get ([Chain.CheckMTU]), and which metadata that a program asks for the driver
	// doesn't have.
	Warn func(error)

	// BeforeSwap, if there is one, is called right before the chain is changed, with the
	// programs that are loaded: those of Add, those of Replace, and then what is adopted. If it returns an
	// error, the chain is not changed. Where a lost race is started over, it is called again.
	BeforeSwap func([]Coming) error

	// Changing, if there is one, is called after BeforeSwap for each interface. If it returns
	// an error, nothing is changed. Where a lost race is started over, it is called again.
	Changing func(*Changing) error
}

// Coming is a program that is loaded and will be in a chain.
type Coming struct {
	xdp.Loaded
	LoadTime time.Duration // since boot
	Program  xdp.Program   // as it was asked for, with the Data that it was loaded from
	Old      uint32        // the program whose place it takes; 0: it is added
}

// Replacement is a program that takes the place of one that runs.
type Replacement struct {
	ID      uint32      // the program that goes
	Program xdp.Program // the one that comes; nil Priority and Actions: those of the one that goes

	// KeepMaps makes the program that comes use the maps of the one that goes where
	// they have the same name and layout, those of its global variables (.data, .bss)
	// included; constants (.rodata) are always new. A map of the same name and another
	// layout is an error, and so are other variables in a section.
	KeepMaps bool
}

// Setting is what changes for a program that stays; what is nil is kept.
type Setting struct {
	ID       uint32       // the program
	Priority *uint32      // run priority, lower runs earlier; 0 is one too
	Actions  *xdp.Actions // chain call actions
	Frags    *bool        // the program takes packets of several buffers
}

// Committed is what a transaction has done.
type Committed struct {
	Chain    *Chain      // as it is now
	Added    []Component // in the order of Transaction.Add
	Replaced []Replaced  // in the order of Transaction.Replace
	Adopted  *Replaced   // nil: no program was
	Changed  bool        // false: nothing was to be done, and no swap was made
}

// Replaced is what became of a [Replacement], or of a program that was adopted.
type Replaced struct {
	Old      uint32
	New      Component
	KeptMaps []string // maps of the old program that the new one uses; ".bss" and ".data" are global variables
	NewMaps  []string // the other maps of its object
}

// check finds what is wrong with a transaction without looking at the system.
func (t Transaction) check() error {
	if t.Mode == xdp.ModeHW {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "a chain can't be in hw mode: a device takes one program", Remedy: "use native or skb mode"}
	}
	n := len(t.Add) + len(t.Replace) + len(t.Link)
	if t.Adopt != nil {
		n++
	}
	if n > xdp.MaxPrograms {
		return &xdp.Error{Kind: xdp.ErrChainFull, Msg: fmt.Sprintf("%d programs in one call, and a chain takes %d", n, xdp.MaxPrograms)}
	}
	if t.Version != 0 && !protocol.Writes(t.Version) {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("no dispatcher of version %d: xdpmux writes versions 2 and 3", t.Version)}
	}
	seen := map[uint32]bool{}
	for _, id := range t.ids() {
		if seen[id] {
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("program %d is named twice in one change", id), Remedy: "say once what is to become of it"}
		}
		seen[id] = true
	}
	return nil
}

// ids are those of the programs that the transaction is about.
func (t Transaction) ids() []uint32 {
	ids := append([]uint32{}, t.Remove...)
	for _, r := range t.Replace {
		ids = append(ids, r.ID)
	}
	for _, s := range append(t.Set[:len(t.Set):len(t.Set)], t.Link...) {
		ids = append(ids, s.ID)
	}
	return ids
}

// takesLone says whether a lone program may be on the interface, as the transaction has
// another one come for it.
func (t Transaction) takesLone(l device.Device) bool {
	return t.Adopt != nil || slices.ContainsFunc(t.Replace, func(r Replacement) bool { return r.ID == l.ProgID })
}
