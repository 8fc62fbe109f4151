import { stationWorker } from "../station/worker.ts";

const delivery = stationWorker({
  name: "delivery",
  takes: "DELIVER_PIZZA",
  cancels: "CANCEL_DELIVERY",
  finishes: "PIZZA_DELIVERED",
  fails: "DELIVERY_FAILED",
});

export default delivery;
export const { Station, Broker, Jobs } = delivery;
