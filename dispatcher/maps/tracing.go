package maps

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Tracing is an attached tracing program.
type Tracing struct {
	obj  *libbpf.Object
	link *libbpf.FD
}

// AttachTracing attaches the tracing program of that name (its section is one such as
// tp_btf/...). It shares maps with the XDP program of the same file that is loaded as progID,
// so that each sees what the other one writes. It runs until Close.
//
// Errors: [xdp.ErrObject], [xdp.ErrNoProgram], [xdp.ErrVerifier], [xdp.ErrPermission], [xdp.ErrSystem].
// It stands for bpf_raw_tracepoint_open.
func AttachTracing(progID uint32, file, name string) (_ *Tracing, err error) {
	data, err := object.ReadFile(context.Background(), file)
	if err != nil {
		return nil, err
	}
	obj, err := object.OpenFile(file, data, libbpf.OpenOptions{LogSize: object.LogSize})
	if err != nil {
		return nil, err
	}
	t := &Tracing{obj: obj.Object}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	all := obj.Programs()
	prog := native.Named(all, name)
	if prog == nil {
		var names []string
		for _, p := range all {
			names = append(names, p.Name())
		}
		return nil, &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("%s has no program %q", file, name), Remedy: "its programs: " + strings.Join(names, ", ")}
	}
	if err := native.LoadOnly(all, prog); err != nil {
		return nil, err
	}
	if err := shareMaps(obj.Object, progID); err != nil {
		return nil, err
	}
	if err := obj.Load(); err != nil {
		if obj.VerifierLog() != "" {
			return nil, &xdp.Error{Kind: xdp.ErrVerifier, Err: err, Msg: fmt.Sprintf("the verifier refused program %q of %s", name, file)}
		}
		return nil, explainTracing(file, name, err)
	}
	if t.link, err = libbpf.TraceAttach(prog.FD()); err != nil {
		return nil, explainTracing(file, name, err)
	}
	return t, nil
}

// shareMaps makes the object use the maps that a loaded program uses, by name.
func shareMaps(obj *libbpf.Object, progID uint32) error {
	for _, m := range obj.Maps() {
		if m.Internal() {
			continue
		}
		if err := m.SetPinPath(""); err != nil {
			return err
		}
		shared, err := Open(progID, m.Name())
		if errors.Is(err, xdp.ErrNoMap) {
			continue
		}
		if err != nil {
			return err
		}
		err = m.ReuseFD(shared.fd.Int())
		shared.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func explainTracing(file, name string, err error) error {
	if permission := privilege.Explain(err); permission != err {
		return permission
	}
	return (&xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't attach program %q of %s: %s", name, file, native.Cause(err))}).
		Advise("%v", xdp.Hint{To: xdp.HintLibbpfLog})
}

// Close detaches the program. It is idempotent.
func (t *Tracing) Close() error { return errors.Join(t.link.Close(), t.obj.Close()) }
