package bpfman

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

const (
	group = "bpfman.io"

	// clusterKind attaches in the nodes' network namespace, namespacedKind only in those of pods.
	clusterKind    = "ClusterBpfApplication"
	namespacedKind = "BpfApplication"

	defaultPriority = 1000
)

// annotationOfApply is what kubectl apply keeps for itself.
const annotationOfApply = "kubectl.kubernetes.io/last-applied-configuration"

// read reads a document.
func (r *reader) read(doc any) error {
	f, err := r.fieldsOf("the document", doc)
	if err != nil {
		return err
	}
	version, err := f.text("apiVersion")
	if err != nil {
		return err
	}
	kind, err := f.text("kind")
	if err != nil {
		return err
	}
	meta, err := r.fieldsOf("metadata", f.take("metadata"))
	if err != nil {
		return err
	}
	name, err := meta.text("name")
	if err != nil {
		return err
	}
	if kind == "" {
		return r.invalid("a document without kind is no object of Kubernetes")
	}
	r.what = strings.TrimSpace(kind + " " + name)
	of, _, _ := strings.Cut(version, "/")
	if of != group || kind != clusterKind && kind != namespacedKind {
		r.note("only %s and %s of %s are converted", clusterKind, namespacedKind, group)
		return nil
	}
	if name == "" {
		return r.invalid("metadata.name is missing")
	}
	spec, err := r.fieldsOf("spec", f.take("spec"))
	if err != nil {
		return err
	}
	chain, err := r.application(name, spec)
	if err != nil {
		return err
	}
	if err := said(meta.take("labels"), &chain.Metadata.Labels); err != nil {
		return r.invalid("metadata.labels: %v", err)
	}
	if err := said(meta.take("annotations"), &chain.Metadata.Annotations); err != nil {
		return r.invalid("metadata.annotations: %v", err)
	}
	delete(chain.Metadata.Annotations, annotationOfApply)
	spec.rest()
	if len(r.interfaces) == 0 {
		r.note("nothing of it is XDP that could be converted")
		return nil
	}
	if chain.Spec.Interfaces, err = json.Marshal(r.interfaces); err != nil {
		return err
	}
	r.to.Chains, r.to.interfaces = append(r.to.Chains, chain), append(r.to.interfaces, r.interfaces)
	return nil
}

// said takes over what means the same here.
func said(v any, into any) error {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	return err
}

func (r *reader) application(name string, spec *fields) (chain fleet.Chain, err error) {
	chain = fleet.NewChain(name, fleet.ChainSpec{})
	if err := said(spec.take("nodeSelector"), &chain.Spec.NodeSelector); err != nil {
		return chain, r.invalid("spec.nodeSelector: %v", err)
	}
	object, err := r.byteCode(spec)
	if err != nil {
		return chain, err
	}
	globals, err := spec.object("globalData")
	if err != nil {
		return chain, err
	}
	variables := map[string]any{}
	for key, v := range globals.all {
		if variables[key], err = globals.bytes(key, v); err != nil {
			return chain, err
		}
	}
	spec.lost("mapOwnerSelector", "has no counterpart: programs share maps that ask to be pinned by name, by the same pin-path")
	programs := 0
	err = spec.objects("programs", func(p *fields) error {
		kind, err := p.text("type")
		if err != nil {
			return err
		}
		function, err := p.text("name")
		if err != nil {
			return err
		}
		if plain(kind) != "xdp" {
			r.note("%s is left out: %q is %s and not XDP", p.path, function, kind)
			return nil
		}
		programs++
		return r.program(p, desired.Program{Object: object, Program: function, Variables: variables})
	})
	if programs > 1 {
		r.note("its %d XDP programs would share their maps with bpfman; here they share those that ask to be pinned by name, by the same pin-path", programs)
	}
	return chain, err
}

// byteCode is where the object is.
func (r *reader) byteCode(spec *fields) (object string, err error) {
	code, err := spec.object("byteCode")
	if err != nil {
		return "", err
	}
	if object, err = code.text("path"); err != nil {
		return "", err
	}
	image, err := code.object("image")
	if err != nil {
		return "", err
	}
	url, err := image.text("url")
	if err != nil {
		return "", err
	}
	image.lost("imagePullPolicy", "has no counterpart: what a tag stands for is asked once")
	image.lost("imagePullSecret", "has no counterpart: the machine's own credentials are used")
	image.rest()
	code.rest()
	switch {
	case object == "" && url == "":
		return "", r.invalid("spec.byteCode names neither an image nor a path")
	case object == "":
		object = "oci://" + url
	}
	return object, nil
}

// program adds a program to each interface that it is to be attached to.
func (r *reader) program(f *fields, p desired.Program) error {
	info, err := f.object("xdp")
	if err != nil {
		return err
	}
	if p.Program == "" { // as earlier releases said it
		if p.Program, err = info.text("bpffunctionname"); err != nil {
			return err
		}
	}
	if p.Program == "" {
		return r.invalid("%s.name is missing", f.path)
	}
	p.Name = p.Program
	f.rest()
	info.lost("mapOwnerSelector", "has no counterpart: programs share maps that ask to be pinned by name, by the same pin-path")
	if info.names[plain("interfaceSelector")] != "" {
		return r.link(info, p)
	}
	if info.names["links"] == "" {
		r.note("%s is left out: it is attached nowhere", f.path)
	}
	err = info.objects("links", func(link *fields) error { return r.link(link, p) })
	info.rest()
	return err
}

// link adds a program to the interfaces of one attachment.
func (r *reader) link(link *fields, p desired.Program) error {
	p.Priority = xdp.Prio(defaultPriority)
	switch v := link.take("priority").(type) {
	case nil:
	case int:
		if v < 0 || v > defaultPriority {
			return link.wrong("priority", "number from 0 to 1000")
		}
		p.Priority = xdp.Prio(uint32(v))
	default:
		return link.wrong("priority", "number from 0 to 1000")
	}
	proceed, err := link.texts("proceedOn")
	if err != nil {
		return err
	}
	p.Actions = xdp.On(xdp.Pass)
	if len(proceed) > 0 {
		p.Actions = xdp.On()
		for _, word := range proceed {
			if plain(word) == "dispatcherreturn" {
				r.note("%s.proceedOn: %s has no counterpart, and needs none: it is what bpfman's empty slots return", link.path, word)
				continue
			}
			action, err := xdp.ParseActions(plain(word))
			if err != nil {
				return r.invalid("%s.proceedOn: %v", link.path, err)
			}
			*p.Actions |= action
		}
	}
	if link.take("networkNamespaces") != nil {
		r.note("%s is left out: networkNamespaces of pods have no counterpart", link.path)
		return nil
	}
	names, err := r.selected(link)
	if err != nil {
		return err
	}
	link.rest()
	for _, name := range names {
		r.interfaces = mergeInterface(r.interfaces, desired.Interface{Name: name, Programs: []desired.Program{p}})
	}
	return nil
}

// selected are the names of the interfaces that are selected, as a state file has them.
func (r *reader) selected(link *fields) ([]string, error) {
	selector, err := link.object("interfaceSelector")
	if err != nil {
		return nil, err
	}
	names, err := selector.texts("interfaces")
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		names[i] = desired.QuotePattern(name)
	}
	switch primary, discovery := selector.take("primaryNodeInterface"), selector.take("interfacesDiscoveryConfig"); {
	case primary == true && r.Primary != "":
		names = append(names, desired.QuotePattern(r.Primary))
	case primary == true:
		r.note("%s is left out: which interface primaryNodeInterface stands for is not in the file", selector.path)
	case discovery != nil:
		r.note("%s is left out: interfacesDiscoveryConfig has no counterpart; a pattern such as eth* as the name stands for all interfaces that match", selector.path)
	}
	selector.rest()
	return names, nil
}

// mergeInterface adds programs to what is said of an interface already. One whose name is taken
// there gets another.
func mergeInterface(all []desired.Interface, more desired.Interface) []desired.Interface {
	i := slices.IndexFunc(all, func(i desired.Interface) bool { return i.Name == more.Name })
	if i < 0 {
		i, all = len(all), append(all, desired.Interface{Name: more.Name})
	}
	for _, p := range more.Programs {
		name := p.Name
		for n := 2; slices.ContainsFunc(all[i].Programs, func(o desired.Program) bool { return o.Name == p.Name }); n++ {
			p.Name = fmt.Sprintf("%s-%d", name, n)
		}
		all[i].Programs = append(all[i].Programs, p)
	}
	return all
}
