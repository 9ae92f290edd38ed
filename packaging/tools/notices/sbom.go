package main

import (
	"errors"
	"os"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeSBOM writes a bill of materials: the parts, and which command has which. It has no serial
// number: the same package has the same one.
func writeSBOM(path, version string, at time.Time, commands []command) error {
	const name, repository = "xdpmux", "pkg:github/xdpmux/xdpmux@"
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: at.Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: name, Type: cdx.ComponentTypeApplication, Name: name, Version: version,
			PackageURL: repository + "v" + version, Licenses: &cdx.Licenses{{Expression: "BSD-2-Clause"}},
		},
	}
	components, dependencies := []cdx.Component{}, []cdx.Dependency{}
	var names []string
	for _, c := range commands {
		names = append(names, c.name+"-command")
		components = append(components, cdx.Component{
			BOMRef: c.name + "-command", Type: cdx.ComponentTypeApplication, Name: c.name, Version: version,
			Licenses: &cdx.Licenses{{Expression: "BSD-2-Clause"}},
		})
		var parts []string
		for _, p := range c.parts {
			parts = append(parts, p.purl)
		}
		dependencies = append(dependencies, cdx.Dependency{Ref: c.name + "-command", Dependencies: &parts})
	}
	dependencies = append(dependencies, cdx.Dependency{Ref: name, Dependencies: &names})
	for _, p := range allParts(commands) {
		components = append(components, cdx.Component{
			BOMRef: p.purl, Type: cdx.ComponentTypeLibrary, Name: p.name, Version: p.version,
			PackageURL: p.purl, Licenses: &cdx.Licenses{{Expression: p.license}},
		})
	}
	bom.Components, bom.Dependencies = &components, &dependencies
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	err = cdx.NewBOMEncoder(file, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cdx.SpecVersion1_6)
	return errors.Join(err, file.Close())
}
