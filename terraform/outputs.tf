output "model_uuid" {
  description = "The model with the demo."
  value       = juju_model.demo.uuid
}

output "offer_url" {
  description = "What an application in another model is integrated with."
  value       = juju_offer.producer.url
}
