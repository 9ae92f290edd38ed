package bpfman

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestConvert holds what is made of applications to what is written beside them. What is made is a
// state that can be read.
func TestConvert(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal(cases, err)
	}
	for _, file := range cases {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]string{}
			for _, f := range archive.Files {
				parts[f.Name] = string(f.Data)
			}
			c := &Converted{}
			if err := c.Parse(Options{Primary: strings.TrimSpace(parts["primary"])}, "app.yaml", []byte(parts["app.yaml"])); err != nil {
				t.Fatal(err)
			}
			var chains [][]byte
			for _, chain := range c.Chains {
				text, err := desired.YAML(chain)
				if err != nil {
					t.Fatal(err)
				}
				chains = append(chains, text)
			}
			state, err := c.State().YAML()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := desired.Parse(t.Context(), "state.yaml", "/", state); err != nil {
				t.Errorf("%v\n%s", err, state)
			}
			for name, got := range map[string]string{
				"chain.yaml": string(bytes.Join(chains, []byte("---\n"))), "state.yaml": string(state), "notes": strings.Join(c.Notes, "\n") + "\n",
			} {
				if want, ok := parts[name]; ok && got != want {
					t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(want, got))
				}
			}
		})
	}
}

// TestBad: what can't be read is an error that names the field.
func TestBad(t *testing.T) {
	const head = "apiVersion: bpfman.io/v1alpha1\nkind: ClusterBpfApplication\nmetadata: {name: a}\nspec: "
	xdpOf := func(link string) string {
		return head + "{byteCode: {path: /x.o}, programs: [{name: f, type: XDP, xdp: {links: [" + link + "]}}]}"
	}
	for _, c := range []struct{ file, want string }{
		{"a: [", "a.yaml: go-yaml load error"},
		{"[]", "a.yaml: the document is no object"},
		{"a: 1", "a.yaml: a document without kind is no object of Kubernetes"},
		{"{apiVersion: bpfman.io/v1alpha1, kind: BpfApplication}", "a.yaml: BpfApplication: metadata.name is missing"},
		{head + "{}", "a.yaml: ClusterBpfApplication a: spec.byteCode names neither an image nor a path"},
		{head + "{byteCode: {path: 1}}", "a.yaml: ClusterBpfApplication a: spec.byteCode.path is no text"},
		{head + "{byteCode: {path: /x.o}, bytecode: {path: /y.o}}", "stands there twice"},
		{head + "{byteCode: {path: /x.o}, globalData: {g: [256]}}", "a.yaml: ClusterBpfApplication a: spec.globalData.g is no list of bytes"},
		{head + "{byteCode: {path: /x.o}, globalData: {g: '*'}}", "spec.globalData.g is no bytes, in base64 or as a list of numbers"},
		{head + "{byteCode: {path: /x.o}, nodeSelector: []}", "spec.nodeSelector: json: "},
		{head + "{byteCode: {path: /x.o}, programs: {}}", "spec.programs is no list"},
		{head + "{byteCode: {path: /x.o}, programs: [{type: XDP, xdp: {}}]}", "spec.programs[0].name is missing"},
		{xdpOf("{priority: 1001}"), "spec.programs[0].xdp.links[0].priority is no number from 0 to 1000"},
		{xdpOf("{priority: x}"), "spec.programs[0].xdp.links[0].priority is no number from 0 to 1000"},
		{xdpOf("{proceedOn: [Fly]}"), "spec.programs[0].xdp.links[0].proceedOn: "},
		{xdpOf("{interfaceSelector: {interfaces: ['']}}"), "spec.programs[0].xdp.links[0].interfaceSelector.interfaces is no list of texts"},
		{xdpOf("{interfaceSelector: {interfaces: [1]}}"), "spec.programs[0].xdp.links[0].interfaceSelector.interfaces is no list of texts"},
	} {
		err := (&Converted{}).Parse(Options{}, "a.yaml", []byte(c.file))
		if !errors.Is(err, xdp.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot:  %v\nwant: %s", c.file, err, c.want)
		}
	}
}

// FuzzParse: whatever a file holds, it is an error, or a state that can be read comes out.
func FuzzParse(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/cluster.txtar")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(archive.Files[0].Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &Converted{}
		if err := c.Parse(Options{}, "a.yaml", data); err != nil {
			return
		}
		state, err := c.State().YAML()
		if err == nil {
			_, err = desired.Parse(t.Context(), "state.yaml", "/", state)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, state)
		}
	})
}
