package history

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Outcome says how a change ended.
type Outcome string

// The outcomes.
const (
	Done        Outcome = "done"        // the chain is as it was to be
	Failed      Outcome = "failed"      // Error says why; the chain is what After says
	TakenBack   Outcome = "taken back"  // made, and taken back as another change of the same call failed
	UnderWay    Outcome = "under way"   // a process is about to make it
	Interrupted Outcome = "interrupted" // its process was killed before it could say how it ended
	Found       Outcome = "found"       // made by another tool; Time is when it was found

	void Outcome = "void" // there is no record of the number: the change has got another one
)

// Record is one change of what runs on one interface.
type Record struct {
	Number    int           `json:"number"` // counts up
	Time      time.Time     `json:"time"`   // when the change began
	Outcome   Outcome       `json:"outcome"`
	Error     string        `json:"error,omitempty"`
	Why       string        `json:"why,omitempty"` // of a change that takes back one which waited to be confirmed: why
	Interface xdp.Interface `json:"interface"`     // without an index if there was none of that name

	// Indices, ids and namespaces mean something else after the next boot.
	Netns       uint64 `json:"netns"`                  // number of the network namespace, as lsns(8) has it
	NetnsCookie uint64 `json:"netns_cookie,omitempty"` // of SO_NETNS_COOKIE; 0: the kernel has none
	Boot        string `json:"boot"`                   // /proc/sys/kernel/random/boot_id

	// Who made the change; nil and empty of a change by another tool.
	User    *User    `json:"user,omitempty"`
	Process *Process `json:"process,omitempty"`
	Command []string `json:"command,omitempty"`

	// What was there and what is. Of a failed change that didn't get as far as to read the
	// chain, both are nil. Before is nil, too, of a found change if nothing was known before.
	Before *Chain `json:"before,omitempty"`
	After  *Chain `json:"after,omitempty"`

	Saved []Saved `json:"saved,omitempty"` // of programs that the change has removed
}

// Saved is what the maps of a program held when it was removed.
type Saved struct {
	ID     uint32 `json:"id"`     // of the program
	SHA256 string `json:"sha256"` // the digest under which it is kept, for an undo
}

// User is who made a change.
type User struct {
	UID      int    `json:"uid"`
	SudoUser string `json:"sudo_user,omitempty"` // what sudo said
	LoginUID *int   `json:"login_uid,omitempty"` // who has logged in, as the kernel knows (/proc/self/loginuid); nil: nobody has
}

// Process is the one that made a change. Started tells it from a later one of the same id.
type Process struct {
	ID      int    `json:"id"`
	Started uint64 `json:"started"` // in clock ticks since boot, of proc_pid_stat(5)
}

// Chain is what runs on an interface.
type Chain struct {
	Mode       *xdp.Mode `json:"mode,omitempty"`       // of the dispatcher or legacy program; nil without one
	Version    int       `json:"version,omitempty"`    // of the dispatcher; 0 without one
	Dispatcher uint32    `json:"dispatcher,omitempty"` // its id
	Programs   []Program `json:"programs"`             // in the order they run
	Legacy     *Lone     `json:"legacy,omitempty"`     // a program attached without a dispatcher
	Hardware   *Lone     `json:"hardware,omitempty"`   // an offloaded program
}

// Program is a program of a chain.
type Program struct {
	dispatcher.Component
	Source
}

// Lone is a program that isn't in a chain.
type Lone struct {
	xdp.Loaded
	Source
}

// Source is what a program was loaded from. It is empty if xdpmux hasn't loaded it.
type Source struct {
	File   string `json:"file,omitempty"`   // absolute; empty for a program from memory
	SHA256 string `json:"sha256,omitempty"` // of the object, in hexadecimal

	// Settings is the SHA-256 of what the program was loaded with. Both are kept under their
	// digests, for an undo.
	Settings string `json:"settings,omitempty"`
}

// absolute is a path that means the same in any directory, or the name of an image; empty: none.
func absolute(path string) string {
	if path == "" || image.Is(path) {
		return path
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// chainOf is what is written down of a chain. sourceOf finds the source of a program.
func chainOf(c *dispatcher.Chain, sourceOf func(xdp.Loaded) Source) *Chain {
	all := &Chain{Mode: c.Mode, Version: c.Version, Programs: []Program{}}
	if c.Dispatcher != nil {
		all.Dispatcher = c.Dispatcher.ID
	}
	for _, p := range c.Programs {
		all.Programs = append(all.Programs, Program{p, sourceOf(p.Loaded)})
	}
	lone := func(p *xdp.Loaded) *Lone {
		if p == nil {
			return nil
		}
		return &Lone{*p, sourceOf(*p)}
	}
	all.Legacy, all.Hardware = lone(c.Legacy), lone(c.Hardware)
	return all
}

// loaded are all programs of a chain, those outside of it too, with their sources.
func (c *Chain) loaded() map[xdp.Loaded]Source {
	all := map[xdp.Loaded]Source{}
	if c == nil {
		return all
	}
	for _, p := range c.Programs {
		all[p.Loaded] = p.Source
	}
	for _, p := range []*Lone{c.Legacy, c.Hardware} {
		if p != nil {
			all[p.Loaded] = p.Source
		}
	}
	return all
}

// same says whether packets meet the same programs in the same order. Another dispatcher under
// them makes no difference, unless its version is another.
func same(a, b *Chain) bool {
	id := func(p *Lone) uint32 {
		if p == nil {
			return 0
		}
		return p.ID
	}
	return a != nil && b != nil && a.Version == b.Version && id(a.Legacy) == id(b.Legacy) && id(a.Hardware) == id(b.Hardware) &&
		slices.EqualFunc(a.Programs, b.Programs, func(p, q Program) bool {
			return p.ID == q.ID && p.Priority == q.Priority && p.Actions == q.Actions && p.Frags == q.Frags
		})
}

// empty says whether nothing runs.
func (c *Chain) empty() bool {
	return len(c.Programs) == 0 && c.Legacy == nil && c.Hardware == nil
}
