package agent

import (
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// watcher tells of changes of the state files, wherever symbolic links lead to them.
type watcher struct {
	*fsnotify.Watcher
	dir   string
	files map[string]bool // files in other directories that state files are links to
}

// watchFiles begins to watch a directory and, as the directory itself may come and go, what it
// lies in. What can't be watched isn't there, which reading the files tells.
func watchFiles(dir string) (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	_ = w.Add(filepath.Dir(dir))
	_ = w.Add(dir)
	return &watcher{w, dir, map[string]bool{}}, nil
}

// add watches where a state file really is. As a ConfigMap of Kubernetes has it, that is another
// directory, by way of a link in between that is replaced.
func (w *watcher) add(file string) {
	real, err := filepath.EvalSymlinks(file)
	if err != nil || real == file {
		return
	}
	w.files[real] = true
	_ = w.Add(filepath.Dir(real))
}

// concerns says whether an event is about the state files.
func (w *watcher) concerns(e fsnotify.Event) bool {
	return e.Name == w.dir || filepath.Dir(e.Name) == w.dir || w.files[e.Name]
}

// close takes nil too.
func (w *watcher) close() {
	if w != nil {
		_ = w.Close()
	}
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w == nil {
		return nil
	}
	return w.Events
}

func (w *watcher) errors() <-chan error {
	if w == nil {
		return nil
	}
	return w.Errors
}
