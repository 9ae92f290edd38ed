package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// AttachAllOptions says how programs are attached to several interfaces.
type AttachAllOptions struct {
	AttachOptions

	// Progress, if there is one, is told before each step which interface it is on, by its
	// index in the call. A lost race starts over from the first.
	Progress func(step Step, i int)
}

// Step is what AttachAll does to each interface.
type Step string

// The steps: all interfaces are prepared before the first gets its new chain.
const (
	StepPrepare Step = "prepare"
	StepSwap    Step = "swap"
)

// AttachAll loads the programs once and adds them to the chains of several interfaces, which
// then share the programs and their maps. They are added to all of the chains, or to none on
// an error. Each interface is swapped at its own moment. A kernel from 5.10 on links one
// program into several dispatchers; there is no fallback to programs without a dispatcher.
// For many interfaces it raises the process's limit of open files (setrlimit(2)), as far as that
// can be done. Errors: those of [Attach].
func AttachAll(ctx context.Context, ifnames []string, programs []xdp.Program, opts AttachAllOptions) ([]*Attachment, error) {
	if err := checkCall(programs, opts.AttachOptions); err != nil {
		return nil, err
	}
	if opts.Progress == nil {
		opts.Progress = func(Step, int) {}
	}
	c := &commit{Transaction: opts.transaction(programs), shared: len(ifnames) > 1}
	if err := c.check(); err != nil {
		return nil, err
	}
	all, err := devicesByName(ifnames)
	if err != nil {
		return nil, err
	}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	defer c.close()
	var done []*Attachment
	err = untilWon(ctx, all[0], func(device.Device) (err error) {
		done, err = c.tryAll(ctx, all, opts.Progress)
		return err
	})
	if err != nil {
		c.undoPins()
		return nil, err
	}
	return done, nil
}

// devicesByName asks for several interfaces, none of which may be there twice.
func devicesByName(names []string) ([]device.Device, error) {
	if len(names) == 0 {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: "no interface to load on", Remedy: "name at least one"}
	}
	all := make([]device.Device, len(names))
	seen := map[int]bool{}
	for i, name := range names {
		var err error
		if all[i], err = device.ByName(name); err != nil {
			return nil, err
		}
		if seen[all[i].Index] {
			return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("interface %s is named twice", name), Remedy: "name each interface once"}
		}
		seen[all[i].Index] = true
	}
	return all, nil
}

// tryAll prepares the swaps of all interfaces before it makes the first, and takes
// those back that were made when one fails.
func (c *commit) tryAll(ctx context.Context, all []device.Device, progress func(Step, int)) (_ []*Attachment, err error) {
	var swaps []*swap
	defer func() {
		for _, s := range swaps {
			s.close()
		}
	}()
	allowSwaps(len(all))
	for i, l := range all {
		progress(StepPrepare, i)
		if l, err = l.Again(); err != nil {
			return nil, tooManySwaps(len(all), err)
		}
		s, err := c.prepare(ctx, l)
		if err != nil {
			return nil, tooManySwaps(len(all), err)
		}
		swaps = append(swaps, s)
	}
	if err := haveSpare(); err != nil {
		return nil, tooManySwaps(len(all), err)
	}
	if err := c.beforeSwap(swaps...); err != nil {
		return nil, err
	}
	if err := changing(c.Changing, swaps...); err != nil {
		return nil, err
	}
	c.warnMixed(swaps)
	for i, s := range swaps {
		progress(StepSwap, i)
		if err := s.apply(ctx); err != nil {
			if s.unclear = errors.Is(err, errUnclear); s.unclear {
				i++ // perhaps it was made
			}
			return nil, c.revertAll(ctx, swaps[:i], err)
		}
	}
	var made []unfinished
	for _, s := range swaps {
		made = append(made, unfinished{s, c.Warn})
	}
	finish(made...)
	var done []*Attachment
	for _, s := range swaps {
		a := &Attachment{Interface: s.iface.Interface, Adopted: c.adoption(s)}
		for _, o := range c.adds {
			a.Programs = append(a.Programs, s.component(o))
		}
		done = append(done, a)
	}
	return done, nil
}

// warnMixed tells of programs that are in some of the chains already, and not in all. An
// earlier load on all of them that was killed leaves them so.
func (c *commit) warnMixed(swaps []*swap) {
	if c.toldMixed || c.Warn == nil {
		return
	}
	for _, o := range c.adds {
		coming := swaps[0].component(o)
		var with, without []string
		for _, s := range swaps {
			there := slices.IndexFunc(s.old.slots(), func(m slot) bool { return m.Name == coming.Name && m.Tag == coming.Tag })
			if there < 0 {
				without = append(without, s.iface.Name)
			} else {
				with = append(with, fmt.Sprintf("%s (program %d)", s.iface.Name, s.old.slots()[there].ID))
			}
		}
		if len(with) > 0 && len(without) > 0 {
			c.toldMixed = true // a lost race starts over
			c.Warn((&xdp.Error{Kind: xdp.ErrSystem,
				Msg: fmt.Sprintf("%s runs on %s already, and not on %s: was an earlier load of them interrupted?",
					coming.Name, strings.Join(with, ", "), strings.Join(without, ", "))}).
				Advise("to remove one of the two that runs there now: %v", xdp.Hint{To: xdp.HintDetach}))
		}
	}
}
