package dashboards

import "strings"

// duration is a time in words. Grafana rounds it down to the largest unit, so that
// 13 days would be "1 week", unless it is told to name more parts.
const (
	duration      = "dtdurations"
	durationParts = 2
)

// encode is the panel as Grafana has it, without its place.
func (p panel) encode() object {
	defaults := object{
		"unit": p.unit, "thresholds": encodeSteps(p.steps), "mappings": encodeWords(p.words),
		"color": object{"mode": p.colorMode()}, "custom": p.custom(),
	}
	if p.kind == stat {
		if p.empty == "" {
			p.empty = "not known"
		}
		defaults["mappings"] = append(encodeWords(p.words), absent(p.empty, len(p.words)))
	}
	if p.unit == duration {
		defaults["decimals"] = durationParts - 1
	}
	if p.empty != "" {
		defaults["noValue"] = p.empty
	}
	if p.kind == barGauge {
		defaults["min"] = 0 // the length of a bar is its share of the longest
	}
	o := object{
		"type": p.kind, "title": p.title, "description": p.help, "datasource": source(), "pluginVersion": pluginVersion,
		"targets": p.targets(), "options": p.options(), "transformations": p.transformations(), "links": []object{},
		"fieldConfig": object{"defaults": defaults, "overrides": p.overrides()},
	}
	var links []object
	for _, l := range p.links {
		links = append(links, object{"title": l.title, "url": l.url, "targetBlank": true})
	}
	if links != nil {
		o["links"] = links
	}
	return o
}

// colorMode says what gives a series its color.
func (p panel) colorMode() string {
	switch {
	case p.kind == pieChart, p.kind == timeseries && p.steps == nil:
		return "palette-classic"
	case p.kind == barGauge && p.steps == nil:
		return "continuous-BlPu"
	}
	return "thresholds"
}

func (p panel) targets() []object {
	var list []object
	for i, q := range p.queries {
		format := "time_series"
		if p.kind == table || p.kind == barChart {
			format = "table"
		}
		list = append(list, object{
			"refId": string(rune('A' + i)), "datasource": source(), "editorMode": "code", "format": format,
			"expr": q.expr, "legendFormat": q.legend, "instant": !q.over, "range": q.over,
		})
	}
	return list
}

// custom is what only this kind of panel knows about its fields.
func (p panel) custom() object {
	switch p.kind {
	case timeseries:
		o := object{
			"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false,
			"axisSoftMin": 0, "stacking": object{"mode": "none", "group": "A"},
		}
		if p.stack {
			o["fillOpacity"], o["stacking"] = 40, object{"mode": "normal", "group": "A"}
		} else if p.steps != nil {
			o["thresholdsStyle"] = object{"mode": "dashed"}
		}
		return o
	case table:
		return object{"align": "auto", "cellOptions": object{"type": "auto"}, "filterable": true, "inspect": false}
	case stateTimeline:
		return object{"fillOpacity": 80, "lineWidth": 0}
	case barChart:
		return object{"fillOpacity": 80, "lineWidth": 1, "axisSoftMin": 0}
	}
	return object{}
}

// options are those of the kind.
func (p panel) options() object {
	last := object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	list := object{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}}
	none := object{"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []string{}}
	tooltip := object{"mode": "multi", "sort": "desc"}
	switch p.kind {
	case stat:
		graph := "none"
		if p.spark {
			graph = "area"
		}
		return object{
			"reduceOptions": last, "colorMode": "value", "graphMode": graph, "justifyMode": "auto", "textMode": "auto",
			"orientation": "auto", "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
		}
	case barGauge:
		return object{
			"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic", "valueMode": "color", "showUnfilled": true,
			"namePlacement": "auto", "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 32, "legend": none,
		}
	case pieChart:
		return object{
			"reduceOptions": last, "pieType": "donut", "sort": "desc", "displayLabels": []string{}, "orientation": "auto",
			"tooltip": object{"mode": "single", "sort": "none"},
			"legend":  object{"showLegend": true, "displayMode": "table", "placement": "right", "values": []string{"value"}, "calcs": []string{}},
		}
	case barChart:
		return object{
			"xField": p.sortBy, "orientation": "auto", "showValue": "auto", "stacking": "none", "groupWidth": 0.7, "barWidth": 0.95, "barRadius": 0,
			"fullHighlight": false, "xTickLabelRotation": 0, "xTickLabelMaxLength": 10, "xTickLabelSpacing": 0, "legend": none, "tooltip": object{"mode": "single", "sort": "none"},
		}
	case table:
		column, desc := strings.CutPrefix(p.sortBy, "-")
		return object{
			"showHeader": true, "cellHeight": "sm", "frameIndex": 0,
			"sortBy": []object{{"displayName": column, "desc": desc}},
		}
	case stateTimeline:
		return object{
			"showValue": "never", "mergeValues": true, "alignValue": "left", "rowHeight": 0.9, "perPage": 20,
			"legend": list, "tooltip": object{"mode": "single", "sort": "none"},
		}
	}
	return object{"legend": list, "tooltip": tooltip}
}

// transformations make one table of the answers to all queries: rows with the
// same labels become one, and columns get their order and names.
func (p panel) transformations() []object {
	list := []object{}
	if p.kind != table && p.kind != barChart {
		return list
	}
	if len(p.queries) > 1 {
		list = append(list, object{"id": "merge", "options": object{}})
	}
	order, names := object{}, object{}
	hidden := object{"Time": true}
	for i, c := range p.columns {
		if c.name == "" {
			hidden[c.field] = true
			continue
		}
		order[c.field], names[c.field] = i, c.name
	}
	list = append(list, object{"id": "organize", "options": object{"excludeByName": hidden, "indexByName": order, "renameByName": names}})
	if p.kind == barChart {
		list = append(list, object{"id": "sortBy", "options": object{"sort": []object{{"field": p.sortBy}}}})
	}
	return list
}

// overrides are what differs for one column or series.
func (p panel) overrides() []object {
	list := []object{}
	add := func(name string, properties []object) {
		if properties != nil {
			list = append(list, object{"matcher": object{"id": "byName", "options": name}, "properties": properties})
		}
	}
	if p.kind == table && p.empty != "" { // what stands for no row must not stand in a cell
		list = append(list, object{"matcher": object{"id": "byRegexp", "options": ".*"}, "properties": []object{{"id": "noValue", "value": "–"}}})
	}
	for _, c := range p.columns {
		if c.name != "" {
			add(c.name, c.properties())
		}
	}
	for _, w := range p.byName {
		add(w.text, []object{{"id": "color", "value": object{"mode": "fixed", "fixedColor": w.color}}})
	}
	return list
}

func (c column) properties() []object {
	var list []object
	set := func(id string, value any) { list = append(list, object{"id": id, "value": value}) }
	if c.unit != "" {
		set("unit", c.unit)
	}
	if c.unit == duration {
		set("decimals", durationParts-1)
	}
	if c.empty != "" {
		set("noValue", c.empty)
	}
	if c.width != 0 {
		set("custom.width", c.width)
	}
	if c.steps != nil {
		set("thresholds", encodeSteps(c.steps))
	}
	if c.words != nil {
		set("mappings", encodeWords(c.words))
	}
	if c.steps != nil || c.words != nil {
		set("custom.cellOptions", object{"type": "color-text"})
	}
	if c.url != "" {
		set("links", []object{{"title": c.tip, "url": c.url, "targetBlank": false}})
	}
	return list
}
