package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
)

type object = map[string]any

// CRDs are the CustomResourceDefinitions of XDPChain and XDPNode, as YAML for kubectl apply. What
// they say of interfaces is made from the schema of a state file.
func CRDs() ([]byte, error) {
	interfaces, err := interfacesSchema()
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, crd := range []object{chainCRD(interfaces), nodeCRD()} {
		text, err := desired.YAML(crd)
		if err != nil {
			return nil, err
		}
		all = append(append(all, "---\n"...), text...)
	}
	return all, nil
}

func crd(kind, short string, columns []any, schema object) object {
	plural := strings.ToLower(kind) + "s"
	return object{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   object{"name": plural + "." + Group},
		"spec": object{
			"group": Group,
			"scope": "Cluster",
			"names": object{"kind": kind, "listKind": kind + "List", "plural": plural, "singular": strings.ToLower(kind), "shortNames": []any{short}, "categories": []any{"xdpmux"}},
			"versions": []any{object{
				"name": Version, "served": true, "storage": true,
				"subresources":             object{"status": object{}},
				"additionalPrinterColumns": columns,
				"schema":                   object{"openAPIV3Schema": schema},
			}},
		},
	}
}

func column(name, kind, path string, wide bool) object {
	c := object{"name": name, "type": kind, "jsonPath": path}
	if wide {
		c["priority"] = 1
	}
	return c
}

func condition(kind, field string) string {
	return fmt.Sprintf(`.status.conditions[?(@.type==%q)].%s`, kind, field)
}

func chainCRD(interfaces object) object {
	columns := []any{
		column("Nodes", "integer", ".status.nodes", false),
		column("Updated", "integer", ".status.updated", false),
		column("Confirmed", "integer", ".status.confirmed", false),
		column("Rollout", "string", condition("RolledOut", "reason"), false),
		column("Age", "date", ".metadata.creationTimestamp", false),
		column("Message", "string", condition("RolledOut", "message"), true),
	}
	spec := of("What should run on which nodes.", object{
		"nodeSelector": selectorSchema(),
		"interfaces":   interfaces,
		"rollout": withDefault(object{}, of("How a change comes to the nodes.", object{
			"maxUnavailable": withDefault(1, object{
				"description":                "How many nodes try a change at once: a number, or a share of the nodes such as 10%, rounded down, and one at least.",
				"x-kubernetes-int-or-string": true,
				"x-kubernetes-validations": []any{object{
					"rule":    `type(self) == int ? self >= 1 : self.matches("^([1-9]|[1-9][0-9]|100)%$")`,
					"message": "it is a number from 1 on, or a share from 1% to 100%",
				}},
			}),
			"confirm":     withDefault(60, object{"description": "For how long, in seconds, a node tries a change.", "type": "integer", "minimum": 1, "maximum": 86400}),
			"guardDrops":  object{"description": "By how many percentage points the share of packets that a chain drops may grow before the node takes the change back. Without it, only what can't be loaded fails.", "type": "integer", "minimum": 0, "maximum": 100},
			"guardBefore": withDefault(60, object{"description": "For how long, in seconds, that share is measured before a node tries a change.", "type": "integer", "minimum": 1, "maximum": 3600}),
			"pause":       withDefault(false, object{"description": "Whether no further node gets the change.", "type": "boolean"}),
		})),
	}, "interfaces")
	content := object{
		"generation": integer("Of the object."),
		"revision":   object{"type": "string", "description": "A digest of the interfaces."},
		"interfaces": asWritten(),
		"confirm":    integer(""), "guardDrops": integer(""), "guardBefore": integer(""),
	}
	status := of("How far it has come.", object{
		"observedGeneration": integer("The generation that this is about."),
		"nodes":              integer("Nodes that are chosen."),
		"updated":            integer("Nodes that have been handed what the spec asks for."),
		"confirmed":          integer("Nodes that have confirmed it."),
		"stable":             of("What all nodes that are ready have confirmed last.", content),
		"failed": of("Why a generation was taken back.", object{
			"generation": integer(""), "revision": object{"type": "string"}, "node": object{"type": "string"}, "reason": object{"type": "string"},
		}),
		"conditions": conditionsSchema(),
	})
	schema := of("The XDP programs of some nodes' interfaces, as a state file of xdpmux declares them.", object{
		"apiVersion": object{"type": "string"}, "kind": object{"type": "string"}, "metadata": object{"type": "object"},
		"spec": spec, "status": status,
	}, "spec")
	return crd(ChainKind, "xchain", columns, schema)
}

func nodeCRD() object {
	columns := []any{
		column("Ready", "string", condition("Ready", "status"), false),
		column("Programs", "integer", ".status.programs", false),
		column("Drifted", "integer", ".status.drifted", false),
		column("Version", "string", ".status.version", false),
		column("Age", "date", ".metadata.creationTimestamp", false),
		column("Message", "string", condition("Ready", "message"), true),
	}
	spec := of("What the leader hands out.", object{
		"handOuts": object{
			"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"chain"}, "maxItems": 64,
			"items": of("What the node is to run of one XDPChain.", object{
				"chain": object{"type": "string"}, "uid": object{"type": "string"}, "at": object{"type": "string", "format": "date-time"},
				"generation": integer(""), "revision": object{"type": "string"}, "interfaces": asWritten(),
				"confirm": integer(""), "guardDrops": integer(""), "guardBefore": integer(""),
			}, "chain", "uid", "generation", "revision", "interfaces"),
		},
	})
	status := of("What the node says.", object{
		"machine": object{"type": "string", "description": "The machine-id of the machine that speaks for the node."},
		"version": object{"type": "string", "description": "Of the agent."},
		"chains": object{
			"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"chain"},
			"items": of("What has become of a hand-out.", object{
				"chain": object{"type": "string"}, "generation": integer(""), "revision": object{"type": "string"},
				"outcome": object{"type": "string", "enum": []any{"Trying", "Confirmed", "TakenBack", "Failed"}}, "reason": object{"type": "string"},
			}, "chain", "outcome"),
		},
		"interfaces": object{
			"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"name"},
			"items": of("An interface that a chain names.", object{
				"name": object{"type": "string"}, "condition": object{"type": "string"}, "why": object{"type": "string"},
				"declared": integer("Programs that are to run."), "running": integer("Programs that run, those of others too."),
			}, "name"),
		},
		"drifted": integer("Interfaces that somebody has changed."), "programs": integer("Programs that run on these interfaces."),
		"conditions": conditionsSchema(),
	})
	schema := of("What runs on one node. The node's agent writes it, but for what the leader hands out.", object{
		"apiVersion": object{"type": "string"}, "kind": object{"type": "string"}, "metadata": object{"type": "object"},
		"spec": spec, "status": status,
	})
	return crd(NodeKind, "xnode", columns, schema)
}

func of(description string, properties object, required ...any) object {
	o := object{"type": "object", "description": description, "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func integer(description string) object {
	o := object{"type": "integer"}
	if description != "" {
		o["description"] = description
	}
	return o
}

func withDefault(v any, schema object) object {
	schema["default"] = v
	return schema
}

// asWritten is the schema of interfaces that were checked already.
func asWritten() object {
	return object{"type": "array", "description": "As in the spec of an XDPChain.", "items": object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
}

func selectorSchema() object {
	text := object{"type": "string"}
	return withDefault(object{}, of("The nodes, by their labels. Default: all.", object{
		"matchLabels": object{"type": "object", "additionalProperties": text},
		"matchExpressions": object{"type": "array", "items": of("", object{
			"key": text, "operator": object{"type": "string", "enum": []any{In, NotIn, Exists, DoesNotExist}}, "values": object{"type": "array", "items": text},
		}, "key", "operator")},
	}))
}

func conditionsSchema() object {
	text := object{"type": "string"}
	return object{"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"type"}, "items": of("", object{
		"type": text, "status": object{"type": "string", "enum": []any{"True", "False", "Unknown"}}, "reason": text, "message": text,
		"observedGeneration": integer(""), "lastTransitionTime": object{"type": "string", "format": "date-time"},
	}, "type", "status")}
}

// The most of what Kubernetes has to know a bound of, for the cost of its rules.
const (
	maxInterfaces = 64
	maxPrograms   = 10
)

// interfacesSchema is what the schema of a state file says of interfaces, as the API server
// takes it: without references, with one type for each value, and with rules that say in words
// what is wrong.
func interfacesSchema() (object, error) {
	var state object
	if err := json.Unmarshal(desired.Schema, &state); err != nil {
		return nil, err
	}
	defs := state["$defs"].(object)
	all := structural(state["properties"].(object)["interfaces"], defs).(object)
	all["minItems"], all["maxItems"] = 1, maxInterfaces
	programs := all["items"].(object)["properties"].(object)["programs"].(object)
	programs["maxItems"] = maxPrograms
	programs["x-kubernetes-list-type"], programs["x-kubernetes-list-map-keys"] = "map", []any{"name"}
	program := programs["items"].(object)
	delete(program, "not")
	program["x-kubernetes-validations"] = []any{
		object{"rule": "!(has(self.section) && has(self.program))", "message": "section and program exclude each other"},
		object{"rule": `self.object.startsWith("/") || self.object.startsWith("oci://")`, "message": "object is a path from / on, or oci://..., as there is no directory that others start at"},
	}
	fields := program["properties"].(object)
	for name, length := range map[string]int{"object": 1024, "name": 256, "section": 256, "program": 256} {
		fields[name].(object)["maxLength"] = length
	}
	return all, nil
}

// structural turns a JSON schema into what an API server calls a structural one.
func structural(v any, defs object) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			all[i] = structural(e, defs)
		}
		return all
	case object:
		o := object{}
		if ref, ok := v["$ref"].(string); ok {
			maps.Copy(o, structural(defs[strings.TrimPrefix(ref, "#/$defs/")], defs).(object))
		}
		for key, e := range v {
			switch {
			case key == "$ref", key == "additionalProperties" && e == false: // the API server prunes what it doesn't know
			case key == "enum", key == "required", key == "description", key == "pattern":
				o[key] = e
			default:
				o[key] = structural(e, defs)
			}
		}
		return oneType(o)
	}
	return v
}

// oneType gives a schema that has no single type one.
func oneType(o object) object {
	if types, ok := o["type"].([]any); ok && slices.Contains(types, "integer") {
		delete(o, "type")
		o["x-kubernetes-int-or-string"] = true
	}
	if _, ok := o["enum"]; ok {
		o["type"] = "string"
	}
	alternatives, ok := o["anyOf"].([]any)
	for _, a := range alternatives {
		if _, isText := a.(object)["type"]; ok && isText {
			delete(a.(object), "type")
			o["type"] = "string"
		}
	}
	return o
}
