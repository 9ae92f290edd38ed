package agent

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Options says what an agent keeps, and how.
type Options struct {
	Dir    string // of the state files
	Report bool   // drift is only reported, and not mended

	Prune, Adopt bool // as in [desired.Options]

	// Changes that are tried have these of [pending.Options]. Guard makes a guard of the command
	// that the files have, which may be empty, to be run in that directory. The files say when.
	By, Command string
	Guard       func(command, dir string) *pending.Guard

	// Fetch gets the images that the files name. A tag is resolved when its file is read: when the agent
	// starts, when the file changes, and with Reload.
	Fetch image.Fetcher

	// Log gets what happens.
	Log *slog.Logger

	// Every is how often the agent looks for what nobody tells it, and calls Alive; 0: each half
	// minute. Between two of these calls it does nothing unless something happens.
	Every time.Duration

	// Reload has the agent read the files anew, and try again what it has given up. It calls
	// Reloaded when it has.
	Reload <-chan struct{}

	Alive    func()       // nil: nobody is told
	Tell     func(Status) // is told how things are whenever something has happened; nil: nobody is
	Reloaded func()       // nil: nobody is told
}

// agent is what Run works on. All of it belongs to Run's goroutine.
type agent struct {
	Options
	memory *memory

	links   *device.Watcher
	devices map[int]device.Device
	watch   *watcher

	files   map[string]*file
	state   *desired.State // what the files declare; nil: they could never be read
	unread  error          // why the files can't be read
	unsure  error          // why nobody knows what one of the files declares, or has ever declared
	writing bool           // somebody writes to one of the files
	lacking bool           // an image couldn't be fetched
	reads   time.Time      // when to read the files; zero: when they change
	until   time.Time      // and at the latest

	news      bool      // there is something to remember and to tell: not with each of many events there is
	tells     time.Time // when to do so at the latest, for what can wait; zero: there is nothing
	kept      map[int]*kept
	missing   map[int]*kept  // those that are gone, as the last tick has seen, and nobody has told why
	turn      int            // of those that tick looks at
	posts     chan func()    // what goroutines have to tell
	tries     sync.WaitGroup // these goroutines
	pending   int            // changes that wait for the end of their time
	totals    totals
	ticked    time.Time
	tidied    int          // changes at the last tidy
	unwritten error        // why memory isn't written
	history   *history.Log // what is known of it; nil: nothing
	untold    error        // why the history lacks the last change, or a part of it
}

// file is a state file.
type file struct {
	data    string         // what it held when it could be read last
	state   *desired.State // that, parsed; nil: it never could be
	err     error          // why it can't be now
	writing time.Time      // since when somebody writes to it; zero: nobody does

	// Images are fetched once for what the file holds; until that has succeeded, lacks is why not.
	named  bool             // the file names some
	images map[string]Image // by what the file calls them; nil: they are to be fetched
	lacks  error
	retry  time.Time      // not to be fetched again before
	coming *desired.State // is state once they are here; nil: nobody fetches
	boot   bool           // what comes is what the agent found when it started
}

// warn tells of an error, and what to do about it.
func (a *agent) warn(msg string, err error, args ...any) {
	args = append(args, "error", err)
	var e *xdp.Error
	if errors.As(err, &e) && e.Remedy != "" {
		args = append(args, "remedy", e.Remedy)
	}
	a.Log.Warn(msg, args...)
}

// count counts an error by its kind.
func (a *agent) count(err error) {
	kind := xdp.ErrSystem.Error()
	var e *xdp.Error
	if errors.As(err, &e) && e.Kind != nil {
		kind = e.Kind.Error()
	}
	a.totals.Errors[kind]++
}

func (a *agent) sorted() []*kept { return inOrder(slices.Collect(maps.Values(a.kept))) }

// goTry runs f in a goroutine that Run waits for.
func (a *agent) goTry(f func()) {
	a.tries.Add(1)
	go func() {
		defer a.tries.Done()
		f()
	}()
}

// post has Run's goroutine call f.
func (a *agent) post(ctx context.Context, f func()) {
	select {
	case a.posts <- f:
	case <-ctx.Done():
	}
}
