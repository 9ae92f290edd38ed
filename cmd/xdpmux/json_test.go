package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/jsondoc"
)

// documented are the shapes of the documents that commands print.
var documented = map[string][]any{
	"load":     {[]loadedJSON{}, []dispatcher.Preview{}},
	"unload":   {[]dispatcher.Preview{}},
	"replace":  {[]dispatcher.Preview{}},
	"set":      {[]dispatcher.Preview{}},
	"upgrade":  {[]dispatcher.Preview{}},
	"status":   {[]statusJSON{}},
	"confirm":  {confirmedJSON{}},
	"revert":   {pending.Outcome{}},
	"features": {featuresJSON{}},
	"clean":    {cleanedJSON{}},
	"run":      {rateJSON{}},
	"check":    {[]check.Check{}},
	"inspect":  {[]inspect.Object{}},
	"map list": {[]maps.Used{}},
	// Written piece by piece, as entries are read.
	"map dump": {struct {
		Map     maps.Info   `json:"map"`
		Entries []entryJSON `json:"entries"`
	}{}},
	"plan": {[]planJSON{}},
	"apply": {[]struct { // made by now, so it has no trial
		desired.Plan
		Error string `json:"error,omitempty"`
	}{}},
	// What runs says nothing of how it is to be tried.
	"export": {struct {
		Interfaces []desired.Interface `json:"interfaces"`
	}{}},
	"convert": {struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Items      []struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct {
				Name        string            `json:"name"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
			Spec struct {
				NodeSelector fleet.Selector  `json:"nodeSelector"`
				Interfaces   []convertedJSON `json:"interfaces"`
			} `json:"spec"`
		} `json:"items"`
	}{}, struct {
		Interfaces []convertedJSON `json:"interfaces"`
	}{}},
	"undo":    {[]dispatcher.Preview{}, []undoJSON{}},
	"history": {[]history.Record{}},
}

// convertedJSON is that of [desired.Interface] that convert can set.
type convertedJSON struct {
	Name     string `json:"name"`
	Programs []struct {
		Name      string            `json:"name"`
		Object    string            `json:"object"`
		Program   string            `json:"program"`
		Priority  uint32            `json:"priority"`
		Actions   xdp.Actions       `json:"actions"`
		Variables map[string]string `json:"variables,omitempty"`
	} `json:"programs"`
}

// The rest of docs/json.md is of xdpmux-observe and xdpmux-image.
func TestJSONIsDocumented(t *testing.T) {
	app := newApp(&output.Printer{})
	own := slices.DeleteFunc(app.Commands, func(c *cli.Command) bool { return observed[c.Name] || c.Name == "image" })
	jsondoc.Test(t, own, documented)
	for section := range jsondoc.Sections(t) {
		if documented[section] == nil && !observed[section] && !strings.HasPrefix(section, "image ") {
			t.Errorf("docs/json.md has a section on %s, which has no --json", section)
		}
	}
}

// observed are the commands of xdpmux-observe.
var observed = map[string]bool{"stats": true, "top": true, "trace": true, "test": true, "rehearse": true}
