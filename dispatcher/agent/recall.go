package agent

import (
	"context"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
)

// recall takes up what the last agent knew.
func (a *agent) recall(ctx context.Context) {
	for _, k := range a.memory.Interfaces {
		a.kept[k.Index] = k
		k.lookAt(time.Now())
	}
	if a.memory.Dir == a.Dir {
		for path, data := range a.memory.Files {
			if s, err := desired.Parse(ctx, path, a.Dir, []byte(data)); err == nil {
				f := &file{data: data, named: s.HasImages()}
				if !f.named {
					f.state = s
				}
				a.files[path] = f
			}
		}
	}
	a.memory.Dir = a.Dir
}

// remember writes down what the next agent has to know.
func (a *agent) remember() {
	a.memory.Interfaces, a.memory.Files = a.sorted(), a.contents()
	err := a.memory.write()
	if err != nil && a.unwritten == nil {
		a.count(err)
		a.warn("an agent that is started now will not know what this one knows", err)
	}
	a.unwritten = err
}
