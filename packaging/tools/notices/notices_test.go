package main

import (
	"strings"
	"testing"
)

func TestIdentify(t *testing.T) {
	for text, want := range map[string]string{
		"                                 Apache License\n                           Version 2.0, January 2004\n": "Apache-2.0",
		"Licensed under the Apache License, Version 2.0 (the \"License\")":                                        "Apache-2.0",
		"The MIT License\n\nPermission is hereby granted, free of\ncharge, to any person":                         "MIT",
		"Redistributions in binary form must\nreproduce\n* Neither the name of Google":                            "BSD-3-Clause",
		"Redistributions in binary form must reproduce the above copyright":                                       "BSD-2-Clause",
		"All rights reserved.": "",
	} {
		if got := identify(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestExpression(t *testing.T) {
	parts := []part{{license: "MIT"}, {license: "LGPL-2.1-only OR BSD-2-Clause"}, {license: "MIT"}}
	if got, want := expression(parts), "(LGPL-2.1-only OR BSD-2-Clause) AND BSD-2-Clause AND MIT"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestCopyrightText has a text that two parts share once, and the terms of the Apache License not
// at all.
func TestCopyrightText(t *testing.T) {
	got := copyrightText("own words", []part{
		{name: "a", version: "1", license: "MIT", texts: []string{"shared\n"}},
		{name: "b", version: "2", license: "Apache-2.0", texts: []string{"shared",
			"Apache License\n TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION\n1. x\nEND OF TERMS AND CONDITIONS\nCopyright B"}},
	})
	for _, want := range []string{
		"  a 1: MIT\n  b 2: Apache-2.0\n", "---- xdpmux ----\n\nown words\n", "---- a, b ----\n\nshared\n",
		"---- b ----\n\nApache License\n (the terms: /usr/share/common-licenses/Apache-2.0)\nCopyright B\n",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("not once %q in\n%s", want, got)
		}
	}
}
