// Package history writes down every change of a chain: who made it, what ran before and
// after, and how it ended. A [Recorder] follows the changes that are made with its context,
// [Read] gives the records back, and [Look] finds what other tools have changed. systemd's
// journal gets each record too.
//
// The records lie in [DefaultDir], which is root's alone. Their size is bounded: the oldest go.
package history
