# The same deployment as bundles/demo.yaml. The comments there say why each part is needed.

resource "juju_model" "demo" {
  name = var.model
}

resource "juju_application" "mesh" {
  name       = "mesh"
  model_uuid = juju_model.demo.uuid
  units      = 1
  trust      = true

  charm {
    name    = var.charms["stub-mesh-k8s"]
    channel = var.channel
  }
}

resource "juju_application" "producer" {
  name       = "producer"
  model_uuid = juju_model.demo.uuid
  units      = 2
  trust      = true
  resources = {
    producer-image = "docker.io/library/python:3.12-slim"
  }

  charm {
    name    = var.charms["metrics-producer-k8s"]
    channel = var.channel
  }
}

resource "juju_application" "scraper" {
  name       = "scraper"
  model_uuid = juju_model.demo.uuid
  units      = 1
  trust      = true
  resources = {
    scraper-image = "docker.io/library/python:3.12-slim"
  }

  charm {
    name    = var.charms["metrics-scraper-k8s"]
    channel = var.channel
  }
}

resource "juju_application" "outsider" {
  name       = "outsider"
  model_uuid = juju_model.demo.uuid
  units      = 1
  trust      = true
  resources = {
    scraper-image = "docker.io/library/python:3.12-slim"
  }

  charm {
    name    = var.charms["metrics-scraper-k8s"]
    channel = var.channel
  }
}

# An application on the mesh has an identity. That alone allows no call.
resource "juju_integration" "on_the_mesh" {
  for_each = {
    producer = juju_application.producer.name
    scraper  = juju_application.scraper.name
    outsider = juju_application.outsider.name
  }
  model_uuid = juju_model.demo.uuid

  application {
    name     = juju_application.mesh.name
    endpoint = "service-mesh"
  }
  application {
    name     = each.value
    endpoint = "service-mesh"
  }
}

# These relations allow calls.
resource "juju_integration" "may_call" {
  for_each = {
    metrics = "metrics"
    data    = "data"
  }
  model_uuid = juju_model.demo.uuid

  application {
    name     = juju_application.producer.name
    endpoint = each.value
  }
  application {
    name     = juju_application.scraper.name
    endpoint = each.value
  }
}

resource "juju_offer" "producer" {
  name             = "producer"
  model_uuid       = juju_model.demo.uuid
  application_name = juju_application.producer.name
  endpoints        = ["metrics", "data", "provide-cmr-mesh"]
}
