package pending

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Guard takes a change back before its time is over. The process that waits runs it.
type Guard struct {
	// Command is run once before the change and then each Interval. The change is taken back if
	// it fails, or doesn't end within Timeout. Empty: there is none. Name is what to call it.
	Command []string      `json:"command"`
	Name    string        `json:"name"`
	Dir     string        `json:"dir"` // where it is run
	Env     []string      `json:"env"` // and in what environment
	Timeout time.Duration `json:"timeout"`

	Interval time.Duration `json:"interval"`

	// Drops is by how many percentage points the share of packets that the chain drops may be
	// greater than before the change, where it is measured for Before; nil: it isn't looked
	// at. Dropped is what ends in XDP_DROP or XDP_ABORTED.
	Drops  *float64      `json:"drops,omitempty"`
	Before time.Duration `json:"before"`

	Shares map[string]float64 `json:"shares,omitempty"` // before the change, by interface; Begin measures them
}

// The times of a change that is tried, where nobody gives others.
const (
	GuardedTime   = time.Minute // how long a guard watches without a time to confirm
	GuardInterval = 5 * time.Second
	GuardTimeout  = 10 * time.Second
	DropsBefore   = time.Minute
)

// enoughPackets is how many packets tell something of their share.
const enoughPackets = 20

// ready finds out whether the guard can tell anything, before anything is changed: its
// command has to succeed.
func (g *Guard) ready(ctx context.Context, ifnames []string) error {
	if g == nil {
		return nil
	}
	if why := g.run(ctx); why != "" {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "nothing was changed, as " + why + " already before", Remedy: "the guard has to succeed as things are"}
	}
	if g.Drops == nil {
		return nil
	}
	g.Shares = map[string]float64{}
	m, err := measure(ctx, ifnames)
	if err != nil {
		return err
	}
	defer m.close()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(g.Before):
	}
	for name, s := range m.since() {
		g.Shares[name] = s.percent()
	}
	return nil
}

// watch runs the guard again and again until ctx ends, or the time of the change is over. Then it
// looks for the last time, when it has counted for an Interval, or for as long as limit. It returns
// why the change is to be taken back.
func (g *Guard) watch(ctx context.Context, ifnames []string, limit time.Duration, over <-chan struct{}) (why string) {
	var m *measurement
	if g.Drops != nil {
		var err error
		m, err = measure(ctx, ifnames)
		switch {
		case err == nil:
			defer m.close()
		case ctx.Err() == nil:
			return fmt.Sprintf("what the chain drops can't be measured: %v", err)
		}
	}
	enough := time.Now().Add(min(g.Interval, limit))
	for last := false; ctx.Err() == nil && !last; {
		if why := g.run(ctx); why != "" {
			return why
		}
		select {
		case <-ctx.Done():
		case <-time.After(g.Interval):
		case <-over:
			last = true
		}
		if last && m != nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(enough)):
			}
		}
		if why := g.dropped(m); why != "" {
			return why
		}
	}
	return ""
}

// run runs the command, and says how it has failed; empty: it hasn't, or there is none, or
// ctx has ended.
func (g *Guard) run(ctx context.Context) (failed string) {
	if len(g.Command) == 0 {
		return ""
	}
	limited, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	// A file, as whatever it leaves behind would hold a pipe open.
	said, err := os.CreateTemp("", "xdpmux-guard-")
	if err != nil {
		return fmt.Sprintf("the guard %q can't be run: %v", g.Name, err)
	}
	defer said.Close()
	os.Remove(said.Name())
	cmd := exec.CommandContext(limited, g.Command[0], g.Command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = g.Dir, g.Env, said, said
	// All that it has started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it has left behind
	}
	switch {
	case ctx.Err() != nil || err == nil:
		return ""
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return fmt.Sprintf("the guard %q didn't end within %v", g.Name, g.Timeout)
	}
	failed = fmt.Sprintf("the guard %q failed: %v", g.Name, err)
	if line := lastLine(said); line != "" {
		failed += ": " + line
	}
	return failed
}

// lastLine is the last line of what a guard has said.
func lastLine(said *os.File) string {
	const enough = 4096
	size, err := said.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(said, max(0, size-enough), enough))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// dropped says which interface drops too much; empty: none does.
func (g *Guard) dropped(m *measurement) string {
	if m == nil {
		return ""
	}
	for name, s := range m.since() {
		if s.packets < enoughPackets {
			continue
		}
		m.next(name)
		if share := s.percent(); share > g.Shares[name]+*g.Drops {
			return fmt.Sprintf("%s drops %.1f%% of its packets, and before the change it dropped %.1f%%", name, share, g.Shares[name])
		}
	}
	return ""
}

// share is how many packets were dropped of how many.
type share struct{ dropped, packets uint64 }

func (s share) percent() float64 {
	if s.packets == 0 {
		return 0
	}
	return 100 * float64(s.dropped) / float64(s.packets)
}

// measurement counts what chains drop.
type measurement struct {
	observer *observe.Observer // nil: nothing runs there
	began    map[string]share
}

// measure begins to count. Interfaces on which nothing runs drop nothing.
func measure(ctx context.Context, ifnames []string) (*measurement, error) {
	m := &measurement{began: map[string]share{}}
	var run []string
	for _, name := range ifnames {
		o, err := observe.Open(ctx, []string{name}, observe.Options{})
		if errors.Is(err, xdp.ErrNoProgram) || errors.Is(err, xdp.ErrNoInterface) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := o.Close(); err != nil {
			return nil, err
		}
		run = append(run, name)
	}
	if len(run) == 0 {
		return m, nil
	}
	var err error
	if m.observer, err = observe.Open(ctx, run, observe.Options{}); err != nil {
		return nil, err
	}
	for name := range m.total() {
		m.next(name)
	}
	return m, nil
}

// total is what was counted since the observer is there.
func (m *measurement) total() map[string]share {
	all := map[string]share{}
	if m.observer == nil {
		return all
	}
	for _, c := range m.observer.Read().Chains {
		v := c.Out.Verdicts
		all[c.Interface.Name] = share{v[xdp.Drop] + v[xdp.Aborted], c.Out.Packets}
	}
	return all
}

// since is what was counted since next was called last.
func (m *measurement) since() map[string]share {
	all := m.total()
	for name, s := range all {
		all[name] = share{s.dropped - m.began[name].dropped, s.packets - m.began[name].packets}
	}
	return all
}

// next begins anew for an interface.
func (m *measurement) next(name string) { m.began[name] = m.total()[name] }

func (m *measurement) close() {
	if m.observer != nil {
		m.observer.Close()
	}
}
