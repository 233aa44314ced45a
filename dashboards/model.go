package dashboards

import (
	"fmt"
	"math"
	"strings"
)

// What Grafana's classic model is in. Version 42 is that of Grafana 12 and 13;
// older ones take what they know of it.
const (
	schemaVersion = 42
	pluginVersion = "12.0.0" // of the panels: none is migrated from older options
)

// The kinds of panels that are used: all are part of Grafana.
const (
	stat          = "stat"
	timeseries    = "timeseries"
	table         = "table"
	barGauge      = "bargauge"
	pieChart      = "piechart"
	barChart      = "barchart"
	stateTimeline = "state-timeline"
)

// object is JSON.
type object = map[string]any

// A dashboard is sections of panels below each other.
type dashboard struct {
	name, title, help string
	from, refresh     string // what is shown at first, how often it is renewed
	variables         []variable
	annotations       []annotation
	sections          []section
}

// A section is a headline and lines of panels; each line is 24 wide.
type section struct {
	title string
	lines []line
}

// A line is panels beside each other, all of one height.
type line struct {
	height int
	panels []panel
}

// A panel is one picture of the answers to some queries.
type panel struct {
	kind, title, help string
	unit              string
	width             int // of 24
	queries           []query
	steps             []step   // colors from a value on
	words             []word   // texts and colors in the place of values
	columns           []column // of a table, from the left, or of a bar chart
	sortBy            string   // the column that a table or a bar chart is sorted by; "-" before it: the largest first
	byName            []word   // colors of series by their names
	stack             bool     // time series on top of each other
	spark             bool     // a stat shows its past, too
	links             []link
	empty             string // what stands where no series is; by default nothing
}

// A query is PromQL.
type query struct {
	expr   string
	legend string
	over   bool // the time, and not only its end
}

// A step colors values from it on; the first step is for all below the second.
type step struct {
	from  float64
	color string
}

// A word replaces the values from one to another, or names a series.
type word struct {
	from, to    float64
	text, color string
}

// exactly is a word for one value.
func exactly(v float64, text, color string) word { return word{v, v, text, color} }

// A column is a field of a table, shown under another name.
type column struct {
	field, name string
	unit        string
	width       int // pixels; 0: what is left
	steps       []step
	words       []word
	empty       string // what stands in a cell without a value; by default a dash
	url         string // where a click leads
	tip         string // what the click says
}

type link struct{ title, url string }

// A variable is chosen by the reader.
type variable struct {
	name, label, help string
	expr              string // label_values(...)
	all               string // what "All" stands for; "" for one choice at a time
	text              bool   // typed and not chosen
	options           []string
}

// An annotation marks moments.
type annotation struct {
	name, expr, title, text, color string
}

// source is the data source that the reader chose.
func source() object { return object{"type": "prometheus", "uid": "${datasource}"} }

// uid is how dashboards link to each other, forever.
func uid(name string) string { return "certscan-" + name }

func (d dashboard) encode(opt Options) object {
	return object{
		"id": nil, "uid": uid(d.name), "title": d.title, "description": d.help,
		"tags": []string{"certscan", "tls"}, "timezone": "browser", "weekStart": "",
		// Who changes it in the browser loses that with the next version: save as
		// another one.
		"editable":      false,
		"schemaVersion": schemaVersion, "version": 1, "graphTooltip": 1, "fiscalYearStartMonth": 0,
		"refresh": d.refresh, "time": object{"from": d.from, "to": "now"}, "timepicker": object{},
		"templating":  object{"list": encodeVariables(d.variables)},
		"annotations": object{"list": encodeAnnotations(d.annotations)},
		"links": []object{
			{
				"type": "dashboards", "tags": []string{"certscan"}, "title": "certscan", "icon": "external link", "tooltip": "", "url": "",
				"asDropdown": false, "includeVars": true, "keepTime": true, "targetBlank": false,
			},
			dashboardLink("Runbooks", opt.DocsBase+"/runbooks/README.md"),
			dashboardLink("Findings", opt.DocsBase+"/findings.md"),
		},
		"panels": place(d.sections),
	}
}

func dashboardLink(title, url string) object {
	return object{
		"type": "link", "tags": []string{}, "title": title, "icon": "doc", "tooltip": "", "url": url,
		"asDropdown": false, "includeVars": false, "keepTime": false, "targetBlank": true,
	}
}

// place lays the panels out from the top left.
func place(sections []section) []object {
	var panels []object
	y, id := 0, 0
	add := func(o object, x, width, height int) {
		id++
		o["id"], o["gridPos"] = id, object{"x": x, "y": y, "w": width, "h": height}
		panels = append(panels, o)
	}
	for _, s := range sections {
		add(object{"type": "row", "title": s.title, "collapsed": false, "panels": []object{}}, 0, 24, 1)
		y++
		for _, l := range s.lines {
			x := 0
			for _, p := range l.panels {
				add(p.encode(), x, p.width, l.height)
				x += p.width
			}
			y += l.height
		}
	}
	return panels
}

func encodeVariables(vars []variable) []object {
	list := []object{{
		"name": "datasource", "label": "Data source", "description": "The Prometheus that scrapes certscan", "type": "datasource", "query": "prometheus",
		"current": object{}, "options": []object{}, "regex": "", "refresh": 1, "hide": 0, "multi": false, "includeAll": false, "skipUrlSync": false,
	}}
	for _, v := range vars {
		o := object{"name": v.name, "label": v.label, "description": v.help, "hide": 0, "skipUrlSync": false, "current": object{}, "options": []object{}}
		switch {
		case v.text:
			o["type"], o["query"], o["current"] = "textbox", "", object{"text": "", "value": ""}
		case v.options != nil:
			o["type"], o["query"] = "custom", strings.Join(v.options, ",")
		default:
			o["type"], o["datasource"], o["query"], o["definition"] = "query", source(), v.expr, v.expr
			o["refresh"], o["sort"], o["regex"] = 2, 1, ""
		}
		if !v.text {
			o["multi"], o["includeAll"] = v.all != "", v.all != ""
		}
		if v.all != "" {
			o["allValue"], o["current"] = v.all, object{"text": "All", "value": "$__all"}
		}
		list = append(list, o)
	}
	return list
}

func encodeAnnotations(all []annotation) []object {
	list := []object{{ // alerts and annotations that readers add
		"name": "Annotations & Alerts", "builtIn": 1, "datasource": object{"type": "grafana", "uid": "-- Grafana --"},
		"enable": true, "hide": true, "iconColor": "rgba(0, 211, 255, 1)", "type": "dashboard",
	}}
	for _, a := range all {
		list = append(list, object{
			"name": a.name, "datasource": source(), "enable": true, "hide": false, "iconColor": a.color,
			"expr": a.expr, "titleFormat": a.title, "textFormat": a.text, "useValueForTime": false,
		})
	}
	return list
}

func encodeSteps(steps []step) object {
	list := []object{{"color": "green", "value": nil}}
	for i, s := range steps {
		if i == 0 {
			list[0]["color"] = s.color
			continue
		}
		list = append(list, object{"color": s.color, "value": s.from})
	}
	return object{"mode": "absolute", "steps": list}
}

// absent gives what is not there a color of its own: it would have that of the
// first step, which is often green.
func absent(text string, index int) object {
	result := object{"index": index, "text": text, "color": "text"}
	return object{"type": "special", "options": object{"match": "null+nan", "result": result}}
}

func encodeWords(words []word) []object {
	list := []object{}
	bound := func(v float64) any {
		if math.IsInf(v, 0) {
			return nil
		}
		return v
	}
	for i, w := range words {
		result := object{"index": i, "text": w.text, "color": w.color}
		if w.from == w.to {
			list = append(list, object{"type": "value", "options": object{fmt.Sprint(w.from): result}})
			continue
		}
		list = append(list, object{"type": "range", "options": object{"from": bound(w.from), "to": bound(w.to), "result": result}})
	}
	return list
}
