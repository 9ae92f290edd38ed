// Package bpfman reads what is written for bpfman's operator, ClusterBpfApplication and
// BpfApplication, and says the XDP part of it in our words.
//
// Their fields, values and defaults are those of bpfman.io/v1alpha1 of bpfman-operator 0.5.6, and
// of its earlier releases, which wrote the same words in lower case or with underscores.
package bpfman
