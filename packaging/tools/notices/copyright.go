package main

import (
	"fmt"
	"regexp"
	"strings"
)

const introduction = `xdpmux: several XDP programs on one network interface
https://github.com/xdpmux/xdpmux

The commands are linked statically with what is listed here; each one's licence follows.
Whoever wants to link them with other versions of the libraries, as the LGPL provides, can do
so with the complete source of xdpmux at the address above: "make deps build".

The BPF programs in /usr/lib/xdpmux/bpf, and those inside of the commands, are under the terms
"GPL-2.0-only OR BSD-2-Clause", the latter with the text of xdpmux's own licence. The texts of
the GPL, the LGPL and the Apache License are in /usr/share/common-licenses (Debian) or
/usr/share/licenses/xdpmux (others).

`

// apacheTerms are long, and Debian's policy wants them to be referred to.
var apacheTerms = regexp.MustCompile(`(?s)TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION.*?END OF TERMS AND CONDITIONS`)

// copyrightText lists the parts, and gives each licence once with those that it is of.
func copyrightText(own string, parts []part) string {
	var b strings.Builder
	b.WriteString(introduction)
	users := map[string][]string{}
	var texts []string
	for _, p := range parts {
		fmt.Fprintf(&b, "  %s %s: %s\n", p.name, p.version, p.license)
		for _, text := range p.texts {
			text = strings.TrimSpace(apacheTerms.ReplaceAllString(text, "(the terms: /usr/share/common-licenses/Apache-2.0)"))
			if users[text] == nil {
				texts = append(texts, text)
			}
			users[text] = append(users[text], p.name)
		}
	}
	fmt.Fprintf(&b, "\n---- xdpmux ----\n\n%s\n", strings.TrimSpace(own))
	for _, text := range texts {
		fmt.Fprintf(&b, "\n---- %s ----\n\n%s\n", strings.Join(users[text], ", "), text)
	}
	return b.String()
}
